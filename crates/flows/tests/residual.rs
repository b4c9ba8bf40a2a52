use crate::table::Line;
use maxlik_flows::residual::{BatchNorm, ContractionConfig, Residual, ResidualLogDet};
use maxlik_flows::{Flow, LayerConfig};
use maxlik_model::Bijection;
use maxlik_nn::Params;
use maxlik_tensor::autograd::{Graph, gradient, jacobian, leaf};
use maxlik_testkit::{Region, Subject, check_bijection, distance, finite, integral, normal};
use tch::{Device, Kind, Tensor};

#[test]
fn each_map_is_a_bijection() {
    for line in [
        Line::new(r#"kind = "planar""#),
        Line::new("kind = \"planar\"\nnetwork = { kind = \"mlp\", hidden = [8] }").context(),
        Line::new(r#"kind = "radial""#),
        Line::new("kind = \"radial\"\nnetwork = { kind = \"mlp\", hidden = [8] }").context(),
        Line::new("kind = \"sylvester\"\nrank = 3"),
        Line::new("kind = \"sylvester\"\nrank = 5"),
        Line::new(r#"kind = "batch_norm""#),
        Line::new(
            "kind = \"residual\"\ncontraction = { hidden = [8, 8] }\nlog_det = { kind = \"exact\" }",
        ),
        Line::new(
            "kind = \"residual\"\ncontraction = { hidden = [8] }\nlog_det = { kind = \"exact\" }",
        )
        .context(),
    ] {
        line.check();
    }
    check_bijection(&Subject::new("batch norm on images", &|scope| {
        Ok(Box::new(BatchNorm::new(scope, &[3, 2, 2])?))
    }));
}

/// A store and a layer with moved parameters.
fn moved<B>(jitter: f64, build: impl Fn(&Params) -> B) -> (Params, B) {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let layer = build(&params);
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * jitter)).unwrap();
    }
    drop(_no_grad);
    (params, layer)
}

fn residual(log_det: ResidualLogDet) -> (Params, Residual) {
    let config = ContractionConfig { hidden: vec![8], lipschitz: 0.8 };
    moved(0.5, |params| Residual::new(&params.root(), 3, None, &config, log_det).unwrap())
}

#[test]
fn densities_integrate_to_one() {
    for layer in [
        "kind = \"planar\"",
        "kind = \"radial\"",
        "kind = \"sylvester\"\nrank = 2",
        "kind = \"residual\"\ncontraction = { hidden = [8] }\nlog_det = { kind = \"exact\" }",
    ] {
        let config: LayerConfig = toml::from_str(layer).unwrap();
        let (params, layer_built) =
            moved(0.5, |params| config.build(&params.root().sub("layer"), 2, None).unwrap());
        let base = maxlik_flows::base::DiagonalNormal::standard(&params.root(), &[2]);
        let flow = Flow::new(layer_built, Box::new(base)).unwrap();
        let mass = integral(&flow, Region::Plane, 200, None);
        assert!((mass - 1.0).abs() < 5e-3, "{layer}: {mass}");
    }
}

/// The network's slope never exceeds its bound, whatever its parameters are.
#[test]
fn contractions_contract() {
    let (_params, layer) = moved(1.0, |params| {
        let config = ContractionConfig { hidden: vec![6, 6], lipschitz: 0.7 };
        Residual::new(&params.root(), 3, None, &config, ResidualLogDet::Exact {}).unwrap()
    });
    let g = |x: &Tensor| Ok(layer.forward(x, None)?.value.f_sub(x)?);
    let j = jacobian(&g, &(normal(5, &[200, 3]) * 20.0), Graph::Free).unwrap();
    let squares = j.transpose(1, 2).matmul(&j).linalg_eigvalsh("L");
    let most = squares.max().sqrt().double_value(&[]);
    assert!(most < 0.7 && most > 0.05, "{most}");
}

/// Means of the estimates and of their gradients, over many probes of one point, against the exact
/// ones, within five standard errors.
#[test]
fn estimated_log_determinants_are_unbiased() {
    let (exact_params, exact) = residual(ResidualLogDet::Exact {});
    let rows = 400;
    let x = normal(6, &[1, 3]).repeat([rows, 1]);
    let wanted = exact.forward(&x.narrow(0, 0, 1), None).unwrap().log_det;
    let weight = |params: &Params| {
        params.trainable().into_iter().find(|(name, _)| name == "0.weight").unwrap().1
    };
    let wanted_slope =
        gradient(&wanted.sum(Kind::Double), None, &weight(&exact_params), Graph::Free).unwrap();
    for log_det in
        [ResidualLogDet::Roulette { certain: 2, stop: 0.3 }, ResidualLogDet::Series { terms: 15 }]
    {
        let (params, layer) = residual(log_det);
        params.load(&exact_params.named()).unwrap();
        // The length is one draw for a batch: several batches of each.
        let batches = 25;
        let mut means = Vec::new();
        let mut slopes = Vec::new();
        for seed in 0..batches {
            let there = maxlik_tensor::with_seed(seed, || layer.forward(&x, None).unwrap());
            let mean = there.log_det.mean(Kind::Double);
            slopes.push(gradient(&mean, None, &weight(&params), Graph::Free).unwrap());
            means.push(mean.detach());
        }
        let judge = |what: &str, each: &[Tensor], wanted: &Tensor| {
            let all = Tensor::stack(each, 0);
            let error = all.std_dim([0_i64].as_slice(), true, false) / (batches as f64).sqrt();
            let off = (all.mean_dim([0_i64].as_slice(), false, None) - wanted).abs();
            let worst = (off / (error + 1e-9)).max().double_value(&[]);
            assert!(worst < 5.0, "{log_det:?}: {what} is off by {worst} standard errors");
        };
        judge("value", &means, &wanted.squeeze());
        judge("gradient", &slopes, &wanted_slope);
    }
}

#[test]
fn estimating_blocks_invert_and_differentiate() {
    let (_params, layer) = residual(ResidualLogDet::default());
    let (_exact_params, exact) = residual(ResidualLogDet::Exact {});
    let z = leaf(&normal(7, &[5, 3])).unwrap();
    let back = layer.inverse(&z, None).unwrap();
    assert!(distance(&layer.forward(&back.value, None).unwrap().value, &z) < 1e-10);
    let slope =
        |x: &Tensor| gradient(&x.square().sum(Kind::Double), None, &z, Graph::Keep).unwrap();
    let wanted = exact.inverse(&z, None).unwrap();
    assert!(distance(&wanted.value, &back.value) < 1e-10);
    assert!(distance(&slope(&back.value), &slope(&wanted.value)) < 1e-4);
    let _no_grad = tch::no_grad_guard();
    let there = layer.forward(&z.detach(), None).unwrap();
    assert!(!there.value.requires_grad() && !there.log_det.requires_grad());
}

/// In training the norms come from few power iterations, which follow the weights through steps.
#[test]
fn training_keeps_the_singular_vectors() {
    let (params, layer) = residual(ResidualLogDet::Exact {});
    let left = || params.named().into_iter().find(|(name, _)| name == "0.left").unwrap().1.copy();
    let (before, x) = (left(), normal(8, &[4, 3]));
    let evaluated = layer.forward(&x, None).unwrap().value;
    assert_eq!(distance(&before, &left()), 0.0);
    params.set_training(true);
    for _ in 0..20 {
        let _ = layer.forward(&x, None).unwrap();
    }
    assert!(distance(&before, &left()) > 1e-3);
    assert!(distance(&layer.forward(&x, None).unwrap().value, &evaluated) < 1e-6);
}

#[test]
fn batch_norm_follows_the_batches() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let layer = BatchNorm::new(&params.root(), &[2]).unwrap();
    let x = normal(9, &[500, 2]) * 3.0 + 5.0;
    params.set_training(true);
    let there = layer.forward(&x, None).unwrap();
    assert!(
        there.value.mean_dim([0_i64].as_slice(), false, None).abs().max().double_value(&[]) < 1e-12
    );
    assert!((there.value.std(false) - 1.0).abs().double_value(&[]) < 1e-4);
    for _ in 0..200 {
        let _ = layer.forward(&x, None).unwrap();
    }
    params.set_training(false);
    let settled = layer.forward(&x, None).unwrap();
    assert!(distance(&settled.value, &there.value) < 1e-6);
    assert!(distance(&settled.log_det, &there.log_det) < 1e-6);
    assert!(finite(&layer.inverse(&x, None).unwrap().value));
}

#[test]
fn wrong_numbers_are_refused() {
    let params = Params::new(4, Kind::Double, Device::Cpu);
    let message = |text: &str| {
        let config: LayerConfig = toml::from_str(text).unwrap();
        config.build(&params.root().sub(text.len()), 3, None).unwrap_err().to_string()
    };
    assert_eq!(message("kind = \"sylvester\"\nrank = 4"), "rank: expected 1 to 3, got 4");
    assert!(
        message("kind = \"residual\"\ncontraction = { lipschitz = 1.0 }").starts_with("lipschitz")
    );
    assert!(
        message("kind = \"residual\"\nlog_det = { kind = \"roulette\", certain = 2, stop = 0.0 }")
            .starts_with("stop")
    );
    assert!(
        message("kind = \"residual\"\nlog_det = { kind = \"series\", terms = 0 }")
            .starts_with("terms")
    );
    assert!(message("kind = \"planar\"\nnetwork = { kind = \"mlp\" }").contains("needs a context"));
}
