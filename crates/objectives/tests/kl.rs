use super::common::{gradient_of, jitter, store, worst_z};
use maxlik_flows::{Flow, FlowConfig};
use maxlik_model::{Batch, Density, Energy, Objective, PathDensity, Score};
use maxlik_nn::Params;
use maxlik_objectives::density::energy::{Funnel, NormalMixture, Phi4};
use maxlik_objectives::density::{
    Estimator, ForwardKl, ImportanceWeighted, MaximumLikelihood, ReverseKl, Target, forward_ess,
    reverse_ess,
};
use maxlik_objectives::score::ScoreOf;
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_testkit::{distance, normal};
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

const ALL: [Estimator; 3] = [Estimator::Standard, Estimator::Path, Estimator::FastPath];

/// Every kind of layer that has a rule of its own, and some that have none.
fn flow(params: &Params, base: &str) -> Flow {
    let net = r#"network = { kind = "mlp", hidden = [8], activation = "tanh" }"#;
    let text = format!(
        "layers = [{{ kind = \"actnorm\" }}, {{ kind = \"affine_coupling\", mask = \"odd\", {net} }}, \
         {{ kind = \"lu_linear\" }}, {{ kind = \"spline_coupling\", mask = \"even\", {net} }}, \
         {{ kind = \"autoregressive\", map = {{ kind = \"affine\" }}, {net} }}, \
         {{ kind = \"elementwise\", map = {{ kind = \"sinh_arcsinh\" }} }}]\nbase = {{ kind = \"{base}\" }}"
    );
    let config: FlowConfig = toml::from_str(&text).unwrap();
    let flow = config.build(&params.root(), 3, None, Vec::new()).unwrap();
    jitter(params, 0.15);
    flow
}

fn target() -> Box<dyn Energy> {
    Box::new(NormalMixture::hypercube(3, 0.5).unwrap())
}

/// A loss as its value and its gradient.
fn both(loss: &Tensor, params: &Params) -> (f64, Tensor) {
    (loss.double_value(&[]), gradient_of(loss, params))
}

fn latents(flow: &Flow, seed: u64, rows: i64) -> Tensor {
    maxlik_tensor::with_seed(seed, || flow.base().rsample_and_log_prob(rows, None).unwrap().value)
}

#[test]
fn fast_and_drop_in_path_gradients_are_the_same() {
    for base in ["normal", "trained_normal"] {
        let params = store();
        let flow = flow(&params, base);
        let reverse = |estimator| {
            let z = latents(&flow, 1, 7);
            let objective = ReverseKl::new(target(), estimator);
            both(&objective.loss_at(&flow, &z, None).unwrap().value, &params)
        };
        let bound = |estimator| {
            let z = latents(&flow, 2, 12);
            let objective = ImportanceWeighted::new(target(), 4, estimator).unwrap();
            both(&objective.loss_at(&flow, &z, None).unwrap(), &params)
        };
        let forward = |estimator| {
            let batch = Batch::new(normal(3, &[7, 3]));
            let loss = ForwardKl::new(target(), estimator).loss(&flow as &dyn PathDensity, &batch);
            both(&loss.unwrap().value, &params)
        };
        for (name, [standard, path, fast]) in [
            ("reverse", ALL.map(reverse)),
            ("importance weighted", ALL.map(bound)),
            ("forward", ALL.map(forward)),
        ] {
            let off = distance(&path.1, &fast.1);
            let size = fast.1.abs().max().double_value(&[]);
            assert!(off < 1e-9 * (1.0 + size), "{name}, {base}: gradients differ by {off:e}");
            assert!(distance(&standard.1, &fast.1) > 1e-3, "{name}, {base}: all the same");
            for other in [path.0, fast.0] {
                assert!((standard.0 - other).abs() < 1e-9, "{name}, {base}: values differ");
            }
        }
    }
}

/// Where the model is the target, path gradients are zero for any batch; the others are not.
#[test]
fn path_gradients_vanish_at_the_optimum() {
    let params = store();
    let model = flow(&params, "normal");
    let batch = Batch::new(normal(5, &[6, 3]));
    for estimator in ALL {
        let fresh = store();
        let density = flow(&fresh, "normal");
        fresh.load(&params.named()).unwrap();
        let energy = || -> Box<dyn Energy> {
            let frozen = store();
            let copy = flow(&frozen, "normal");
            frozen.load(&params.named()).unwrap();
            Box::new(ScoreOf(copy))
        };
        let reverse = ReverseKl::new(energy(), estimator);
        let loss = reverse.loss_at(&density, &latents(&model, 4, 6), None).unwrap().value;
        let first = gradient_of(&loss, &fresh).abs().max().double_value(&[]);
        let forward = ForwardKl::new(energy(), estimator);
        let loss = forward.loss(&density as &dyn PathDensity, &batch).unwrap().value;
        let second = gradient_of(&loss, &fresh).abs().max().double_value(&[]);
        for (name, size) in [("reverse", first), ("forward", second)] {
            if estimator == Estimator::Standard {
                assert!(size > 1e-2, "{name}: {size:e}");
            } else {
                assert!(size < 1e-8, "{name}, {estimator:?}: {size:e}");
            }
        }
    }
}

/// Path and standard estimates have one mean: five standard errors over 100,000 samples.
#[test]
fn path_gradients_are_unbiased() {
    let params = store();
    let config: FlowConfig = toml::from_str(
        r#"layers = [{ kind = "affine_coupling", mask = "odd", network = { kind = "mlp", hidden = [4], activation = "tanh" } },
                     { kind = "spline_coupling", mask = "even", network = { kind = "mlp", hidden = [4], activation = "tanh" }, spline = { bins = 3 } }]
           base = { kind = "normal" }"#,
    )
    .unwrap();
    let flow = config.build(&params.root(), 2, None, Vec::new()).unwrap();
    jitter(&params, 0.3);
    let target = || -> Box<dyn Energy> { Box::new(NormalMixture::hypercube(2, 0.5).unwrap()) };
    let (chunks, rows) = (100, 1000);
    let (mut reverse, mut bound, mut forward) = (Vec::new(), Vec::new(), Vec::new());
    let exact = NormalMixture::hypercube(2, 0.5).unwrap();
    for chunk in 0..chunks {
        let z = normal(1000 + chunk, &[rows, 2]);
        let x = maxlik_tensor::with_seed(5000 + chunk, || exact.sample(rows, DOUBLE_CPU).unwrap());
        let difference = |loss: &dyn Fn(Estimator) -> Tensor| {
            gradient_of(&loss(Estimator::Standard), &params)
                - gradient_of(&loss(Estimator::FastPath), &params)
        };
        reverse.push(difference(&|e| {
            ReverseKl::new(target(), e).loss_at(&flow, &z, None).unwrap().value
        }));
        bound.push(difference(&|e| {
            ImportanceWeighted::new(target(), 5, e).unwrap().loss_at(&flow, &z, None).unwrap()
        }));
        let batch = Batch::new(x);
        forward.push(difference(&|e| {
            ForwardKl::new(target(), e).loss(&flow as &dyn PathDensity, &batch).unwrap().value
        }));
    }
    for (name, rows) in [("reverse", reverse), ("importance weighted", bound), ("forward", forward)]
    {
        let z = worst_z(&Tensor::stack(&rows, 0));
        assert!(z < 5.0, "{name}: off by {z} standard errors");
    }
}

/// For `x = m + s z` the path gradient is `mean G` by the shift and `mean G s z` by `ln s`, with
/// `G = −z/s + E'(x)`: sticking the landing.
#[test]
fn sticking_the_landing() {
    let params = store();
    let config: FlowConfig =
        toml::from_str("layers = [{ kind = \"actnorm\" }]\nbase = { kind = \"normal\" }").unwrap();
    let flow = config.build(&params.root(), 1, None, Vec::new()).unwrap();
    jitter(&params, 0.4);
    let named = params.trainable();
    let value =
        |name: &str| named.iter().find(|(n, _)| n.ends_with(name)).unwrap().1.double_value(&[0]);
    let (mean, std) = (value("mean"), value("log_std").exp());
    let z = normal(6, &[50, 1]);
    let energy = NormalMixture::hypercube(1, 0.5).unwrap();
    let x = &z * std + mean;
    let force = -energy.score(&x, None).unwrap() - &z / std;
    let by_shift = force.mean(Kind::Double).double_value(&[]);
    let by_log_std = (force * &z * std).mean(Kind::Double).double_value(&[]);
    let loss =
        ReverseKl::new(Box::new(energy), Estimator::FastPath).loss_at(&flow, &z, None).unwrap();
    let found = maxlik_tensor::autograd::grad(
        &[&loss.value],
        &[None],
        &named.iter().map(|(_, t)| t).collect::<Vec<_>>(),
        Graph::Free,
    )
    .unwrap();
    for ((name, _), gradient) in named.iter().zip(found) {
        let got = gradient.unwrap().double_value(&[0]);
        let exact = if name.ends_with("mean") { by_shift } else { by_log_std };
        assert!((got - exact).abs() < 1e-10, "{name}: {got} instead of {exact}");
    }
}

#[test]
fn limits_of_the_objectives() {
    let params = store();
    let flow = flow(&params, "normal");
    let batch = Batch::new(normal(8, &[9, 3]));
    let plain = MaximumLikelihood.loss(&flow as &dyn Density, &batch).unwrap().value;
    let forward = ForwardKl::new(target(), Estimator::Standard);
    let forward = forward.loss(&flow as &dyn PathDensity, &batch).unwrap().value;
    assert!(distance(&plain, &forward) < 1e-12);
    for estimator in ALL {
        let z = normal(9, &[5, 3]);
        let reverse = ReverseKl::new(target(), estimator).loss_at(&flow, &z, None).unwrap().value;
        let one = ImportanceWeighted::new(target(), 1, estimator).unwrap();
        let one = one.loss_at(&flow, &z, None).unwrap();
        let (a, b) = (both(&reverse, &params), both(&one, &params));
        assert!((a.0 - b.0).abs() < 1e-12 && distance(&a.1, &b.1) < 1e-12, "{estimator:?}");
    }
    // The bound on −ln Z = 0 falls with the number of samples.
    let z = normal(10, &[60_000, 3]);
    let _no_grad = tch::no_grad_guard();
    let bounds: Vec<f64> = [1, 4, 20]
        .iter()
        .map(|&k| {
            let objective = ImportanceWeighted::new(target(), k, Estimator::Standard).unwrap();
            objective.loss_at(&flow, &z, None).unwrap().double_value(&[])
        })
        .collect();
    assert!(bounds[0] > bounds[1] + 0.05 && bounds[1] > bounds[2] + 0.05, "{bounds:?}");
    assert!(bounds[2] > -0.05, "{bounds:?}");
}

#[test]
fn effective_sample_sizes() {
    let logs = Tensor::from_slice(&[0.0, 3.0_f64.ln()]) + 700.0;
    assert!((reverse_ess(&logs).unwrap() - 0.8).abs() < 1e-12);
    assert!((forward_ess(&logs).unwrap() - 0.75).abs() < 1e-12);
    let same = Tensor::full([5], -900.0, DOUBLE_CPU);
    assert!((reverse_ess(&same).unwrap() - 1.0).abs() < 1e-12);
    assert!((forward_ess(&same).unwrap() - 1.0).abs() < 1e-12);
    assert!(reverse_ess(&Tensor::zeros([0], DOUBLE_CPU)).is_err());
}

fn force(energy: &dyn Energy, x: &Tensor) -> Tensor {
    let x = leaf(x).unwrap();
    gradient(&energy.energy(&x, None).unwrap().sum(Kind::Double), None, &x, Graph::Free).unwrap()
}

#[test]
fn mixtures_are_what_they_say() {
    let mixture = NormalMixture::hypercube(2, 0.5).unwrap();
    let x = normal(11, &[20, 2]);
    assert!(distance(&mixture.score(&x, None).unwrap(), &-force(&mixture, &x)) < 1e-12);
    // Independent coordinates, each ½ N(−1, ½) + ½ N(1, ½).
    let one = |x: &Tensor| {
        let part = |m: f64| ((x - m).square() * -1.0).exp() / std::f64::consts::PI.sqrt() * 0.5;
        (part(1.0) + part(-1.0)).log()
    };
    let exact = -(one(&x.select(1, 0)) + one(&x.select(1, 1)));
    assert!(distance(&mixture.energy(&x, None).unwrap(), &exact) < 1e-12);
    assert_eq!(mixture.log_normalizer(), Some(0.0));
    let samples = maxlik_tensor::with_seed(12, || mixture.sample(40_000, DOUBLE_CPU).unwrap());
    // Mean 0, variance 1.5, fourth moment 1 + 6/2 + 3/4.
    assert!(worst_z(&samples) < 5.0);
    assert!(worst_z(&(samples.square() - 1.5)) < 5.0);
    assert!(worst_z(&(samples.pow_tensor_scalar(4) - 4.75)) < 5.0);
    let smooth = mixture.smoothed(0.25).unwrap();
    let direct = NormalMixture::hypercube(2, 0.75).unwrap();
    assert!(distance(&smooth.energy(&x, None).unwrap(), &direct.energy(&x, None).unwrap()) < 1e-12);
    assert!(NormalMixture::hypercube(13, 1.0).is_err());
    assert!(NormalMixture::hypercube(2, 0.0).is_err());
    assert!(mixture.energy(&normal(1, &[3, 4]), None).is_err());
}

#[test]
fn the_funnel_is_what_it_says() {
    let funnel = Funnel::new(4, 1.5).unwrap();
    let x = normal(13, &[20, 4]);
    let log_normal = |x: &Tensor, log_std: &Tensor| {
        (x * (-log_std).exp()).square() * -0.5 - log_std - 0.5 * std::f64::consts::TAU.ln()
    };
    let neck = x.narrow(1, 0, 1);
    let first = log_normal(&neck, &neck.full_like(1.5_f64.ln()));
    let rest = log_normal(&x.narrow(1, 1, 3), &(&neck * 0.5).expand([20, 3], false));
    let axis = [1_i64];
    let exact =
        Tensor::cat(&[first, rest], 1).sum_dim_intlist(axis.as_slice(), false, None::<Kind>);
    assert!(distance(&-funnel.energy(&x, None).unwrap(), &exact) < 1e-12);
    let samples = maxlik_tensor::with_seed(14, || funnel.sample(40_000, DOUBLE_CPU).unwrap());
    let neck = samples.narrow(1, 0, 1);
    let unit = samples.narrow(1, 1, 3) * (&neck * -0.5).exp();
    assert!(worst_z(&(neck.square() - 2.25)) < 5.0);
    assert!(worst_z(&(unit.square() - 1.0)) < 5.0);
    assert!(Funnel::new(1, 1.0).is_err() && Funnel::new(2, -1.0).is_err());
}

/// The quadratic form `φᵀ (I − κA) φ` of the free field, and the symmetries of the interacting one.
#[test]
fn the_lattice_is_what_it_says() {
    let side = 4;
    let free = Phi4::new(side, 0.2, 0.0).unwrap();
    let x = normal(15, &[6, 16]);
    let matrix = Tensor::eye(16, DOUBLE_CPU);
    for row in 0..side {
        for column in 0..side {
            let here = row * side + column;
            for there in [((row + 1) % side) * side + column, row * side + (column + 1) % side] {
                for (a, b) in [(here, there), (there, here)] {
                    let _ = matrix.get(a).get(b).f_sub_(&Tensor::from(0.2_f64)).unwrap();
                }
            }
        }
    }
    let exact = (x.matmul(&matrix) * &x).sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>);
    assert!(distance(&free.energy(&x, None).unwrap(), &exact) < 1e-12);
    let field = Phi4::new(side, 0.3, 0.02).unwrap();
    let energy = |x: &Tensor| field.energy(x, None).unwrap();
    let rolled = x.reshape([6, 4, 4]).roll([1_i64, 2].as_slice(), [1_i64, 2].as_slice());
    assert!(distance(&energy(&x), &energy(&rolled.reshape([6, 16]))) < 1e-12);
    assert!(distance(&energy(&x), &energy(&-&x)) < 1e-12);
    // One site on: (1 − 2λ) φ² + λ φ⁴.
    let mut one = Tensor::zeros([1, 16], DOUBLE_CPU);
    let _ = one.get(0).get(5).fill_(2.0);
    assert!((energy(&one).double_value(&[0]) - (0.96 * 4.0 + 0.02 * 16.0)).abs() < 1e-12);
    let _ = one.zero_();
    assert!(field.log_normalizer().is_none() && field.sample(1, DOUBLE_CPU).is_err());
    assert!(Phi4::new(4, 0.3, 0.0).is_err());
}
