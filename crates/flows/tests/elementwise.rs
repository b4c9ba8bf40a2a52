use crate::table::Line;
use maxlik_flows::elementwise::Gaussianize;
use maxlik_flows::univariate::Univariate;
use maxlik_flows::{Flow, LayerConfig};
use maxlik_nn::Params;
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_testkit::{Region, Support, distance, finite, integral, normal};
use tch::{Device, Kind, Tensor};

const UNIT: Support = Support::Interval(0.0, 1.0);

#[test]
fn each_map_is_a_bijection() {
    for line in [
        Line::new("kind = \"logit\"\nmargin = 1e-3").on(UNIT),
        Line::new("kind = \"sigmoid\"\nmargin = 1e-3"),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "affine", scale = { kind = "exp" } }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "exp" }"#,
        ),
        Line::new(
            r#"kind = "inverse"
layer = { kind = "elementwise", map = { kind = "exp" } }"#,
        )
        .on(Support::Positive),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "softplus" }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "tanh" }"#,
        )
        .within(1e-8, 2e-2),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "leaky_relu", slope = 0.2 }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "smooth_leaky_relu", slope = 0.2 }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "sinh_arcsinh" }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "signed_power" }"#,
        )
        .within(1e-8, 5e-3),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "gaussianize", components = 3 }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "linear_spline", bins = 5, low = -2.0, high = 2.0 }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "quadratic_spline", bins = 5, low = -2.0, high = 2.0 }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "quadratic_spline", bins = 4, low = 0.0, high = 1.0, bounded = true }"#,
        )
        .on(UNIT),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "cubic_spline", bins = 5, low = -2.0, high = 2.0 }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "rational_quadratic", bins = 5, low = -2.0, high = 2.0 }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "rational_quadratic", bins = 5, low = 0.0, high = 1.0, ends = "bounded" }"#,
        )
        .on(UNIT),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "rational_quadratic", bins = 5, low = -3.0, high = 3.0, ends = "circular" }"#,
        )
        .on(Support::Interval(-3.0, 3.0)),
    ] {
        line.check();
    }
}

#[test]
fn distribution_functions_are_bijections() {
    for line in [
        Line::new(
            r#"kind = "elementwise"
map = { kind = "cdf" }"#,
        )
        .within(1e-8, 5e-2),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "cdf", distribution = "logistic" }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "cdf", distribution = "laplace" }"#,
        ),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "cdf", distribution = "cauchy" }"#,
        ),
    ] {
        line.check();
    }
}

#[test]
fn maps_take_parameters_from_context_and_from_couplings() {
    for line in [
        Line::new(
            r#"kind = "elementwise"
map = { kind = "affine" }
network = { kind = "mlp", hidden = [8] }"#,
        )
        .context(),
        Line::new(
            r#"kind = "elementwise"
map = { kind = "gaussianize", components = 2 }
network = { kind = "mlp", hidden = [8] }"#,
        )
        .context(),
        Line::new(
            r#"kind = "coupling"
mask = "odd"
map = { kind = "sinh_arcsinh" }
network = { kind = "mlp", hidden = [8] }"#,
        ),
        Line::new(
            r#"kind = "coupling"
mask = "even"
map = { kind = "gaussianize", components = 2 }
network = { kind = "mlp", hidden = [8] }"#,
        )
        .context(),
        Line::new(
            r#"kind = "coupling"
mask = "upper"
map = { kind = "linear_spline", bins = 4, low = -3.0, high = 3.0 }
network = { kind = "mlp", hidden = [8] }"#,
        ),
        Line::new(
            r#"kind = "coupling"
mask = "lower"
map = { kind = "quadratic_spline", bins = 4, low = -3.0, high = 3.0 }
network = { kind = "mlp", hidden = [8] }"#,
        ),
        Line::new(
            r#"kind = "coupling"
mask = "odd"
map = { kind = "cubic_spline", bins = 4, low = -3.0, high = 3.0 }
network = { kind = "mlp", hidden = [8] }"#,
        )
        .context(),
    ] {
        line.check();
    }
}

/// A flow of one layer on two numbers, with moved parameters.
fn flow(toml: &str) -> Flow {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let layer: LayerConfig = toml::from_str(toml).unwrap();
    let layer = layer.build(&params.root(), 2, None).unwrap();
    let base = maxlik_flows::base::DiagonalNormal::standard(&params.root().sub("base"), &[2]);
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * 0.3)).unwrap();
    }
    Flow::new(layer, Box::new(base)).unwrap()
}

#[test]
fn densities_integrate_to_one() {
    // The box's cells end where the splines' inner bins may have jumps: midpoints are precise.
    let aligned = (Region::Box(-6.0, 6.0), 480);
    let plane = (Region::Plane, 400);
    for (map, (region, points)) in [
        (r#"{ kind = "sinh_arcsinh" }"#, plane),
        (r#"{ kind = "gaussianize", components = 3 }"#, plane),
        (r#"{ kind = "smooth_leaky_relu", slope = 0.3 }"#, plane),
        (r#"{ kind = "linear_spline", bins = 4, low = -2.0, high = 2.0 }"#, aligned),
        (r#"{ kind = "quadratic_spline", bins = 4, low = -2.0, high = 2.0 }"#, aligned),
        (r#"{ kind = "cubic_spline", bins = 4, low = -2.0, high = 2.0 }"#, aligned),
    ] {
        let flow = flow(&format!("kind = \"elementwise\"\nmap = {map}"));
        let mass = integral(&flow, region, points, None);
        assert!((mass - 1.0).abs() < 5e-3, "{map}: {mass}");
    }
}

/// The latent of a mixture of logistics is normal far out, where its distribution function is
/// rounded to zero or one, and the second derivative of the log-density is that of differences.
#[test]
fn gaussianization_holds_in_the_tails() {
    let map = Gaussianize::new(2).unwrap();
    let raw = Tensor::from_slice(&[0.0, 0.0, -1.0, 1.0, 0.0, 0.0]).reshape([1, 1, 6]);
    let x = Tensor::from_slice(&[-600.0, -50.0, 0.0, 50.0, 600.0]).reshape([5, 1]);
    let raw = raw.expand([5, 1, 6], false);
    let there = map.forward(&x, &raw).unwrap();
    assert!(finite(&there.value) && finite(&there.log_det));
    // Odd by symmetry, and of the size that ln F = −|x| + 1 − … asks for.
    assert!(distance(&there.value, &-there.value.flip([0])) < 1e-9);
    assert!((there.value.double_value(&[4, 0]) - 34.5).abs() < 0.1, "{}", there.value);
    let back = map.inverse(&there.value, &raw).unwrap();
    assert!(distance(&back.value, &x) < 1e-8);
    let x = leaf(&normal(4, &[5, 1])).unwrap();
    let first = |x: &Tensor, graph| {
        let mapped = map.forward(x, &raw).unwrap();
        let log_prob =
            (mapped.log_det - mapped.value.square().squeeze_dim(1) * 0.5).sum(Kind::Double);
        gradient(&log_prob, None, x, graph).unwrap()
    };
    let second =
        gradient(&first(&x, Graph::Differentiable).sum(Kind::Double), None, &x, Graph::Free)
            .unwrap();
    let at = |h: f64| first(&leaf(&(x.detach() + h)).unwrap(), Graph::Free);
    assert!(distance(&second, &((at(1e-5) - at(-1e-5)) / 2e-5)) < 1e-7);
}

#[test]
fn wrong_numbers_are_refused() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let message = |text: &str, context| {
        let config: LayerConfig = toml::from_str(text).unwrap();
        config.build(&params.root(), 2, context).unwrap_err().to_string()
    };
    let elementwise = |map: &str| format!("kind = \"elementwise\"\nmap = {map}");
    assert_eq!(
        message(&elementwise(r#"{ kind = "leaky_relu", slope = 0.0 }"#), None),
        "slope: expected a positive number, got 0"
    );
    assert!(
        message(&elementwise(r#"{ kind = "gaussianize", components = 0 }"#), None)
            .contains("at least one")
    );
    assert!(
        message(
            &elementwise(r#"{ kind = "linear_spline", bins = 0, low = 0.0, high = 1.0 }"#),
            None
        )
        .starts_with("bins: expected 1 to 1024")
    );
    assert!(
        message(
            &elementwise(r#"{ kind = "cubic_spline", bins = 2, low = 1.0, high = 1.0 }"#),
            None
        )
        .starts_with("interval: expected low < high")
    );
    assert!(
        message(
            &elementwise(r#"{ kind = "quadratic_spline", bins = 1, low = 0.0, high = 1.0 }"#),
            None
        )
        .contains("at least two bins")
    );
    let network = "\nnetwork = { kind = \"mlp\" }";
    assert!(
        message(&(elementwise(r#"{ kind = "affine" }"#) + network), None)
            .contains("needs a context")
    );
    assert!(
        message(&(elementwise(r#"{ kind = "exp" }"#) + network), Some(2)).contains("no parameters")
    );
    assert!(toml::from_str::<LayerConfig>(&elementwise(r#"{ kind = "exp", x = 1 }"#)).is_err());
}
