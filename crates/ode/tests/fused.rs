//! The kernels for perceptrons against the general solver on tensors.

use crate::{distance, normal};
use maxlik_model::{Density, VectorField};
use maxlik_nn::{Activation, Params};
use maxlik_ode::{
    Adaptive, Cnf, Control, Drift, Evaluated, Gaussian, Grid, MlpField, MlpFieldConfig, Noise,
    Solver, Trace, tableau,
};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::with_seed;
use tch::{Device, Kind, Tensor};

/// The same field with its two layers hidden from the flow, so that tensors solve it.
#[derive(Debug)]
struct Plain(MlpField);

impl VectorField for Plain {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.0.velocity(t, x, context)? * 3.0)
    }
}

impl Drift for Plain {}

/// The field three times as strong, through its parameters.
#[derive(Debug)]
struct Fast(MlpField);

impl VectorField for Fast {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.0.velocity(t, x, context)? * 3.0)
    }
}

impl Drift for Fast {
    fn two_layer(&self, context: Option<&Tensor>) -> Result<Option<maxlik_ode::TwoLayer>> {
        let Some(mut network) = self.0.two_layer(context)? else { return Ok(None) };
        network.w3 = &network.w3 * 3.0;
        network.b3 = &network.b3 * 3.0;
        Ok(Some(network))
    }
}

struct Case {
    d: i64,
    context: i64,
    hidden: [i64; 2],
    rows: i64,
    trace: Trace,
    control: Control,
}

fn case(d: i64, rows: i64) -> Case {
    let control = Control::Adaptive(Adaptive::new(1e-6, 1e-6).joint());
    Case { d, context: 0, hidden: [20, 33], rows, trace: Trace::Exact, control }
}

fn build(case: &Case, kind: Kind, fast: bool, method: tableau::Tableau) -> (Cnf, Params) {
    let params = Params::new(3, kind, Device::Cpu);
    let config = MlpFieldConfig { hidden: case.hidden.to_vec(), activation: Activation::Tanh };
    let field = MlpField::new(&params.root(), case.d, case.context, &config).unwrap();
    let base = Gaussian::standard(&[case.d], kind, Device::Cpu).unwrap();
    let solver = Solver::new(method, case.control.clone()).unwrap();
    let cnf = if fast {
        Cnf::with_drift(Fast(field), base, solver)
    } else {
        Cnf::with_drift(Plain(field), base, solver)
    };
    let cnf = cnf.trace(case.trace).unwrap();
    (if case.context > 0 { cnf.context(&[case.context]) } else { cnf }, params)
}

struct Found {
    evaluated: Evaluated,
    grads: Vec<Tensor>,
}

fn run(case: &Case, kind: Kind, fast: bool, method: tableau::Tableau) -> Found {
    let (cnf, params) = build(case, kind, fast, method);
    let x = normal(1, &[case.rows, case.d]).to_kind(kind).set_requires_grad(true);
    let context = (case.context > 0).then(|| normal(2, &[case.rows, case.context]).to_kind(kind));
    let draws = with_seed(4, || cnf.draws(&x, context.as_ref())).unwrap();
    let evaluated = cnf.evaluate(&x, context.as_ref(), &draws).unwrap();
    let loss = (&evaluated.log_prob * normal(5, &[case.rows]).to_kind(kind)).sum(kind)
        + evaluated.latent.sin().sum(kind);
    let named = params.trainable();
    let inputs: Vec<&Tensor> = std::iter::once(&x).chain(named.iter().map(|(_, t)| t)).collect();
    let grads = grad(&[&loss], &[None], &inputs, Graph::Free).unwrap();
    Found { grads: grads.into_iter().map(Option::unwrap).collect(), evaluated }
}

#[track_caller]
fn check(case: &Case, kind: Kind, method: tableau::Tableau, tolerance: f64) {
    let (fused, plain) = (run(case, kind, true, method), run(case, kind, false, method));
    // On tensors a recorded step that some samples reject is made again for the others.
    let steps = |found: &Found| -> Vec<(u64, u64)> {
        found.evaluated.counts.iter().map(|c| (c.accepted, c.rejected)).collect()
    };
    assert_eq!(steps(&fused), steps(&plain));
    if !case.control.is_per_sample() {
        assert_eq!(fused.evaluated.counts, plain.evaluated.counts);
    }
    let near = |a: &Tensor, b: &Tensor, what: &str| {
        let scale = 1.0 + b.abs().max().double_value(&[]);
        let gap = distance(a, b) / scale;
        assert!(gap < tolerance, "{what}: {gap}");
    };
    near(&fused.evaluated.log_prob, &plain.evaluated.log_prob, "log_prob");
    near(&fused.evaluated.latent, &plain.evaluated.latent, "latent");
    for (i, (a, b)) in fused.grads.iter().zip(&plain.grads).enumerate() {
        near(a, b, &format!("gradient {i}"));
    }
}

#[test]
fn kernels_make_the_same_steps_and_gradients() {
    for (d, rows) in [(1, 1), (2, 7), (3, 20), (5, 13), (19, 5)] {
        check(&case(d, rows), Kind::Double, tableau::DOPRI5, 1e-10);
    }
}

#[test]
fn kernels_know_all_controls_and_methods() {
    let apart = Control::Adaptive(Adaptive::new(1e-6, 1e-6));
    check(&Case { control: apart.clone(), ..case(2, 17) }, Kind::Double, tableau::DOPRI5, 1e-10);
    check(&Case { control: apart, ..case(3, 5) }, Kind::Double, tableau::MIDPOINT, 1e-10);
    let fixed = Control::Fixed(Grid::Count(5));
    check(&Case { control: fixed, ..case(2, 8) }, Kind::Double, tableau::RK4, 1e-10);
    check(&case(2, 8), Kind::Double, tableau::TSIT5, 1e-10);
    check(&case(2, 8), Kind::Double, tableau::BOSH3, 1e-10);
    let first = Adaptive { first_step: Some(0.1), ..Adaptive::new(1e-6, 1e-6).joint() };
    check(
        &Case { control: Control::Adaptive(first), ..case(2, 8) },
        Kind::Double,
        tableau::HEUN,
        1e-10,
    );
    let stops =
        Adaptive { step_t: vec![0.3], jump_t: vec![0.6], ..Adaptive::new(1e-6, 1e-6).joint() };
    check(
        &Case { control: Control::Adaptive(stops), ..case(2, 8) },
        Kind::Double,
        tableau::DOPRI5,
        1e-10,
    );
}

#[test]
fn kernels_know_contexts_and_probes() {
    check(&Case { context: 2, ..case(3, 11) }, Kind::Double, tableau::DOPRI5, 1e-10);
    for noise in [Noise::Rademacher, Noise::Gaussian] {
        let trace = Trace::Hutchinson { probes: 1, noise };
        check(&Case { trace, ..case(6, 11) }, Kind::Double, tableau::DOPRI5, 1e-10);
        let control = Control::Adaptive(Adaptive::new(1e-6, 1e-6));
        check(
            &Case { trace, control, context: 1, ..case(2, 9) },
            Kind::Double,
            tableau::DOPRI5,
            1e-10,
        );
    }
}

#[test]
fn single_precision_agrees_to_rounding() {
    let control = Control::Fixed(Grid::Count(6));
    check(&Case { control, hidden: [64, 64], ..case(2, 50) }, Kind::Float, tableau::DOPRI5, 2e-5);
    let trace = Trace::Hutchinson { probes: 1, noise: Noise::Rademacher };
    let control = Control::Fixed(Grid::Count(6));
    check(
        &Case { control, trace, hidden: [64, 64], ..case(43, 20) },
        Kind::Float,
        tableau::DOPRI5,
        2e-5,
    );
}

/// The closed form of the trace, on tensors, and what has no closed form.
#[test]
fn closed_traces_are_traces() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let config =
        |hidden: &[i64], activation| MlpFieldConfig { hidden: hidden.to_vec(), activation };
    let (x, c) = (normal(1, &[6, 4]), normal(2, &[6, 2]));
    let t = normal(3, &[6]);
    for (i, config) in [
        config(&[9, 7], Activation::Tanh),
        config(&[9], Activation::Tanh),
        config(&[5, 6, 7], Activation::Tanh),
        config(&[9, 7], Activation::Softplus),
    ]
    .iter()
    .enumerate()
    {
        let field = MlpField::new(&params.root().sub(i), 4, 2, config).unwrap();
        assert_eq!(field.two_layer(Some(&c)).unwrap().is_some(), i == 0);
        let found = field.exact(&t, &x, Some(&c), false).unwrap();
        let basis = maxlik_ode::trace::basis(&x).unwrap();
        let exact = field.probed(&t, &x, Some(&c), &basis, false).unwrap();
        assert!(distance(&found.divergence, &exact.divergence) < 1e-12);
        assert!(distance(&found.velocity, &exact.velocity) < 1e-12);
    }
    assert!(
        MlpField::new(&params.root().sub("none"), 4, 0, &config(&[], Activation::Tanh)).is_err()
    );
}

#[test]
fn second_derivatives_take_the_general_solver() {
    let control = Control::Fixed(Grid::Count(4));
    let case = Case { control, ..case(2, 5) };
    let second = |fast: bool| {
        let (cnf, params) = build(&case, Kind::Double, fast, tableau::RK4);
        let x = normal(1, &[5, 2]).set_requires_grad(true);
        let log_prob = cnf.log_prob(&x, None).unwrap();
        let first = grad(&[&log_prob], &[None], &[&x], Graph::Differentiable).unwrap();
        let score = first.into_iter().next().flatten().unwrap();
        let named = params.trainable();
        let inputs: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
        let found =
            grad(&[&score.square().sum(Kind::Double)], &[None], &inputs, Graph::Free).unwrap();
        found.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    for (a, b) in second(true).iter().zip(second(false)) {
        assert!(distance(a, &b) < 1e-9 * (1.0 + b.abs().max().double_value(&[])));
    }
}
