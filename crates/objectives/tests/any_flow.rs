//! Path gradients of every kind of flow, batch by batch.
//!
//! For given latents the standard gradient of the reverse divergence is the path gradient plus
//! `mean ∂ ln q_θ(x)/∂θ` at the samples held fixed, exactly. The three come by different ways: the graph
//! of the inverse with its log-determinant, that of the inverse alone, and that of the map. So the
//! drop-in form is checked for each layer, however its inverse is found.

use super::common::{gradient_of, jitter, store};
use maxlik_flows::{Flow, FlowConfig};
use maxlik_model::{Batch, Density, Energy, Objective, PathDensity};
use maxlik_nn::Params;
use maxlik_objectives::density::{Estimator, ForwardKl, ImportanceWeighted, ReverseKl};
use maxlik_tensor::Result;
use maxlik_testkit::{distance, normal};
use tch::{Kind, Tensor};

/// `Σ ln cosh(x − ½)`: smooth, and no flow's own density.
#[derive(Debug)]
struct Valley;

impl Energy for Valley {
    fn energy(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let each = x.f_sub_scalar(0.5)?.f_cosh()?.f_log()?;
        Ok(each.f_sum_dim_intlist([1_i64].as_slice(), false, None)?)
    }
}

fn build(layers: &str, dims: i64, params: &Params) -> Flow {
    let text = format!("layers = [{layers}]\nbase = {{ kind = \"normal\" }}");
    let config: FlowConfig = toml::from_str(&text).unwrap();
    let flow = config.build(&params.root(), dims, None, Vec::new()).unwrap();
    jitter(params, 0.2);
    flow
}

#[track_caller]
fn check(layers: &str, dims: i64) {
    let params = store();
    let flow = build(layers, dims, &params);
    let mut shape = vec![5];
    shape.extend(flow.event_shape());
    let mut latent = vec![5];
    latent.extend(flow.base().event_shape());
    let z = normal(3, &latent) * 0.8;
    let near = |what: &str, a: &Tensor, b: &Tensor| {
        let off = distance(a, b) / (1.0 + b.abs().max().double_value(&[]));
        assert!(off < 1e-6, "{layers}: {what} off by {off:e}");
    };
    let reverse = |estimator| {
        let objective = ReverseKl::new(Box::new(Valley), estimator);
        gradient_of(&objective.loss_at(&flow, &z, None).unwrap().value, &params)
    };
    let [standard, path, fast] =
        [Estimator::Standard, Estimator::Path, Estimator::FastPath].map(reverse);
    let x = flow.to_data(&z, None).unwrap().detach();
    let own = gradient_of(&flow.log_prob(&x, None).unwrap().mean(Kind::Double), &params);
    near("standard = path + own score", &(&path + own), &standard);
    near("one pass = two", &fast, &path);
    assert!(distance(&standard, &path) > 1e-6, "{layers}: no difference");

    let bound = |estimator| {
        let objective = ImportanceWeighted::new(Box::new(Valley), 5, estimator).unwrap();
        gradient_of(&objective.loss_at(&flow, &z, None).unwrap(), &params)
    };
    near("bound, one pass = two", &bound(Estimator::FastPath), &bound(Estimator::Path));
    let batch = Batch::new(normal(4, &shape) * 0.8);
    let forward = |estimator| {
        let objective = ForwardKl::new(Box::new(Valley), estimator);
        let loss = objective.loss(&flow as &dyn PathDensity, &batch).unwrap().value;
        gradient_of(&loss, &params)
    };
    near("forward, one pass = two", &forward(Estimator::FastPath), &forward(Estimator::Path));
}

const NET: &str = r#"network = { kind = "mlp", hidden = [6], activation = "tanh" }"#;

#[test]
fn autoregressive_flows_drop_in() {
    for map in [
        "{ kind = \"affine\" }",
        "{ kind = \"rational_quadratic\", bins = 4, low = -4.0, high = 4.0 }",
        "{ kind = \"monotonic\", units = 3, nodes = 16 }",
    ] {
        for solve in ["\"steps\"", "\"passes\"", "\"jacobi\", tolerance = 1e-12"] {
            let solve = format!("solve = {{ kind = {solve} }}");
            check(&format!("{{ kind = \"autoregressive\", map = {map}, {solve}, {NET} }}"), 3);
        }
    }
    check("{ kind = \"block_autoregressive\", hidden = 4, layers = 1 }", 3);
}

#[test]
fn couplings_without_closed_inverse_drop_in() {
    for map in [
        "{ kind = \"logistic_mixture\", components = 3 }",
        "{ kind = \"monotonic\", units = 3, nodes = 16 }",
        "{ kind = \"bernstein\", degree = 6, bound = 6.0 }",
        "{ kind = \"deep_sigmoidal\", layers = 1, units = 3 }",
        "{ kind = \"sum_of_squares\", squares = 2, degree = 2 }",
    ] {
        check(&format!("{{ kind = \"coupling\", mask = \"odd\", map = {map}, {NET} }}"), 3);
    }
}

#[test]
fn residual_flows_drop_in() {
    check(
        "{ kind = \"residual\", contraction = { hidden = [5] }, log_det = { kind = \"exact\" } }",
        3,
    );
    check("{ kind = \"planar\" }, { kind = \"radial\" }, { kind = \"sylvester\", rank = 2 }", 3);
}

#[test]
fn linear_and_elementwise_layers_drop_in() {
    check("{ kind = \"dense\" }, { kind = \"elementwise\", map = { kind = \"sinh_arcsinh\" } }", 3);
    check("{ kind = \"lu_linear\" }, { kind = \"actnorm\" }, { kind = \"matrix_exponential\" }", 3);
    check(
        "{ kind = \"svd_linear\", reflections = 2 }, { kind = \"qr_linear\", reflections = 2 }, { kind = \"reverse\" }",
        3,
    );
}

#[test]
fn image_flows_drop_in() {
    check(
        "{ kind = \"centre\" }, { kind = \"glow\", image = [1, 4, 4], glow = { levels = 2, steps = 1, network = { hidden = 4 } } }",
        16,
    );
    check(
        "{ kind = \"tarflow\", image = [1, 4, 4], patch = 2, tarflow = { layers = [1, 1], block = { transformer = { width = 8, heads = 2 } } } }",
        16,
    );
}
