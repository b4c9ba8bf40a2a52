//! Scores carried through layers, against `J⁻ᵀ (δ − ∇ₓ ln |det J|)` with an exact Jacobian.

use maxlik_flows::{FlowConfig, LayerConfig};
use maxlik_model::{Density, Mapped, PropagateScore};
use maxlik_nn::Params;
use maxlik_tensor::autograd::{Graph, gradient, jacobian, leaf};
use maxlik_testkit::{distance, normal};
use tch::{Device, Kind, Tensor};

const DIMS: i64 = 4;

fn jittered(params: &Params, jitter: f64) {
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * jitter)).unwrap();
    }
}

/// `J⁻ᵀ (δ − ∇ₓ ln |det J|)` by definition.
fn by_definition(map: &dyn Fn(&Tensor) -> Mapped, x: &Tensor, score: &Tensor) -> Tensor {
    let exact = jacobian(&|x| Ok(map(x).value), x, Graph::Free).unwrap();
    let x = leaf(x).unwrap();
    let log_det = map(&x).log_det.sum(Kind::Double);
    let right = score - gradient(&log_det, None, &x, Graph::Free).unwrap();
    let transposed = exact.transpose(1, 2);
    Tensor::linalg_solve(&transposed, &right.unsqueeze(-1), true).squeeze_dim(-1)
}

#[track_caller]
fn check(toml: &str, context: Option<i64>) {
    let config: LayerConfig = toml::from_str(toml).unwrap();
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let layer = config.build(&params.root(), DIMS, context).unwrap();
    jittered(&params, 0.3);
    let given = context.map(|size| normal(4, &[6, size]));
    let (x, score) = (normal(5, &[6, DIMS]) * 0.7, normal(6, &[6, DIMS]));
    let given = given.as_ref();
    let Some(rule) = layer.propagation() else { panic!("{toml}: no rule") };

    let there = rule.map_score(&x, &score, given).unwrap();
    let plain = layer.map(&x, given).unwrap();
    assert!(distance(&there.mapped.value, &plain.value) < 1e-12, "{toml}: value");
    assert!(distance(&there.mapped.log_det, &plain.log_det) < 1e-12, "{toml}: log-determinant");
    let exact = by_definition(&|x| layer.map(x, given).unwrap(), &x, &score);
    let off = distance(&there.score, &exact);
    assert!(
        off < 1e-9 * (1.0 + exact.abs().max().double_value(&[])),
        "{toml}: map, off by {off:e}"
    );
    assert!(!there.score.requires_grad(), "{toml}: the score carries a graph");

    // The mapped points keep their graph, up to the parameters and the input.
    let inner = leaf(&x).unwrap();
    let recorded = rule.map_score(&inner, &score, given).unwrap().mapped.value;
    let (a, b) =
        (recorded.sum(Kind::Double), layer.map(&inner, given).unwrap().value.sum(Kind::Double));
    let slope = |y: &Tensor| gradient(y, None, &inner, Graph::Free).unwrap();
    assert!(distance(&slope(&a), &slope(&b)) < 1e-11, "{toml}: graph of the value");

    let z = plain.value.detach();
    let back = rule.unmap_score(&z, &score, given).unwrap();
    assert!(distance(&back.mapped.value, &x) < 1e-8, "{toml}: inverse value");
    let exact = by_definition(&|z| layer.unmap(z, given).unwrap(), &z, &score);
    let off = distance(&back.score, &exact);
    assert!(
        off < 1e-8 * (1.0 + exact.abs().max().double_value(&[])),
        "{toml}: unmap, off by {off:e}"
    );

    // There and back again is the score itself.
    let again = rule.unmap_score(&z, &there.score, given).unwrap().score;
    assert!(distance(&again, &score) < 1e-7, "{toml}: round trip");
}

const NET: &str = r#"network = { kind = "mlp", hidden = [8], activation = "tanh" }"#;

#[test]
fn couplings_carry_scores() {
    for context in [None, Some(2)] {
        check(&format!("kind = \"affine_coupling\"\nmask = \"odd\"\n{NET}"), context);
    }
    check(
        &format!(
            "kind = \"affine_coupling\"\nmask = \"lower\"\nscale = {{ kind = \"exp\" }}\n{NET}"
        ),
        None,
    );
    check(&format!("kind = \"spline_coupling\"\nmask = \"even\"\n{NET}"), None);
    for map in [
        "{ kind = \"logistic_mixture\", components = 3 }",
        "{ kind = \"monotonic\", units = 3, nodes = 16 }",
        "{ kind = \"bernstein\", degree = 6, bound = 4.0 }",
        "{ kind = \"additive\" }",
    ] {
        check(&format!("kind = \"coupling\"\nmask = \"odd\"\nmap = {map}\n{NET}"), None);
    }
}

#[test]
fn autoregressive_layers_carry_scores() {
    for order in ["forward", "reverse"] {
        for map in [
            "{ kind = \"affine\" }",
            "{ kind = \"rational_quadratic\", bins = 5, low = -4.0, high = 4.0 }",
        ] {
            check(
                &format!("kind = \"autoregressive\"\norder = \"{order}\"\nmap = {map}\n{NET}"),
                if order == "forward" { Some(2) } else { None },
            );
        }
    }
}

#[test]
fn elementwise_layers_and_inverses_carry_scores() {
    check("kind = \"elementwise\"\nmap = { kind = \"smooth_leaky_relu\", slope = 0.3 }", None);
    check("kind = \"elementwise\"\nmap = { kind = \"sinh_arcsinh\" }", None);
    check(
        &format!(
            "kind = \"inverse\"\nlayer = {{ kind = \"spline_coupling\", mask = \"odd\", {NET} }}"
        ),
        None,
    );
    check("kind = \"inverse\"\nlayer = { kind = \"dense\" }", None);
}

/// A stack with layers that have rules of their own and layers that have none: the score of the flow
/// at its samples, and that of the pulled-back density at the latents.
#[test]
fn flows_carry_scores() {
    let text = format!(
        "layers = [{{ kind = \"actnorm\" }}, {{ kind = \"affine_coupling\", mask = \"odd\", {NET} }}, \
         {{ kind = \"lu_linear\" }}, {{ kind = \"spline_coupling\", mask = \"even\", {NET} }}, \
         {{ kind = \"dense\" }}, {{ kind = \"planar\" }}, {{ kind = \"reverse\" }}, \
         {{ kind = \"autoregressive\", map = {{ kind = \"affine\" }}, {NET} }}]\nbase = {{ kind = \"trained_normal\" }}"
    );
    let config: FlowConfig = toml::from_str(&text).unwrap();
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let flow = config.build(&params.root(), DIMS, None, Vec::new()).unwrap();
    jittered(&params, 0.2);
    let z = normal(7, &[9, DIMS]);
    let density_score = |density: &dyn Density, x: &Tensor| {
        let x = leaf(x).unwrap();
        let log_prob = density.log_prob(&x, None).unwrap().sum(Kind::Double);
        gradient(&log_prob, None, &x, Graph::Free).unwrap()
    };
    let pushed = flow.unmap_score(&z, &density_score(flow.base(), &z), None).unwrap();
    let exact = density_score(&flow, &pushed.mapped.value);
    assert!(distance(&pushed.score, &exact) < 1e-8, "{:e}", distance(&pushed.score, &exact));

    // Data to latent, with a standard normal as the density of data.
    let x = normal(8, &[9, DIMS]);
    let pulled = flow.map_score(&x, &-&x, None).unwrap();
    let latent = leaf(&pulled.mapped.value).unwrap();
    let back = flow.transform().unmap(&latent, None).unwrap();
    let log_prob = back.value.square().sum(Kind::Double) * -0.5 + back.log_det.sum(Kind::Double);
    let exact = gradient(&log_prob, None, &latent, Graph::Free).unwrap();
    assert!(distance(&pulled.score, &exact) < 1e-8, "{:e}", distance(&pulled.score, &exact));
}
