//! Gradients of all modes against each other and against finite differences.

use crate::{distance, normal, vector};
use maxlik_ode::{Adaptive, Control, Gradient, Grid, SharedField, Solver, tableau};
use maxlik_tensor::autograd::{Graph, grad};
use tch::{Kind, Tensor};

/// A small network `dy/dt = W₂ tanh(W₁ [y, t] + b₁)` on two numbers.
struct Net {
    parameters: Vec<Tensor>,
}

impl Net {
    fn new() -> Self {
        let leaf = |seed, shape: &[i64]| (normal(seed, shape) * 0.7).set_requires_grad(true);
        Self { parameters: vec![leaf(1, &[6, 3]), leaf(2, &[6]), leaf(3, &[2, 6])] }
    }

    fn field(&self) -> SharedField {
        let [w1, b1, w2] = [0, 1, 2].map(|i: usize| self.parameters[i].shallow_clone());
        SharedField::from_fn(move |t, y| {
            let input = Tensor::f_cat(&[y, &t.f_view([-1, 1])?], 1)?;
            Ok(input.f_linear(&w1, Some(&b1))?.f_tanh()?.f_linear(&w2, None::<&Tensor>)?)
        })
    }
}

/// A scalar of all states with different weights.
fn loss(states: &Tensor) -> Tensor {
    (states.sin() * normal(9, &states.size())).sum(Kind::Double)
}

/// Gradients by `y0`, `times` and the parameters.
fn gradients(
    net: &Net,
    solver: &Solver,
    y0: &Tensor,
    times: &Tensor,
    mode: Option<&Gradient>,
) -> Vec<Tensor> {
    let y0 = y0.detach().set_requires_grad(true);
    let times = times.detach().set_requires_grad(true);
    let field = net.field();
    let solution = match mode {
        None => solver.solve(&field, &y0, &times).unwrap(),
        Some(mode) => solver.solve_with(&field, &net.parameters, &y0, &times, mode).unwrap(),
    };
    solution.ensure_success().unwrap();
    let inputs: Vec<&Tensor> = [&y0, &times].into_iter().chain(&net.parameters).collect();
    let found = grad(&[&loss(&solution.states)], &[None], &inputs, Graph::Free).unwrap();
    found.into_iter().map(Option::unwrap).collect()
}

#[track_caller]
fn close(a: &[Tensor], b: &[Tensor], tolerance: f64) {
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let gap = distance(a, b);
        assert!(gap < tolerance, "input {i}: {gap}");
    }
}

fn adaptive(tolerance: f64) -> Control {
    Control::Adaptive(Adaptive::new(tolerance, tolerance))
}

fn joint(tolerance: f64) -> Control {
    Control::Adaptive(Adaptive::new(tolerance, tolerance).joint())
}

fn shared_times() -> Tensor {
    vector(&[0.2, 0.2, 0.7, 1.5])
}

fn own_times() -> Tensor {
    vector(&[0.0, 0.4, 1.0, 1.2, 1.0, 0.1, 0.5, 0.5, 0.5]).view([3, 3])
}

/// Central differences of the loss by one entry of an input.
fn difference(value: &dyn Fn(&Tensor) -> f64, x: &Tensor, entry: i64) -> f64 {
    let h = 1e-5;
    let step = Tensor::zeros_like(x);
    let _ = step.view([-1]).get(entry).fill_(h);
    (value(&(x + &step)) - value(&(x - &step))) / (2.0 * h)
}

#[test]
fn recorded_gradients_match_finite_differences() {
    let net = Net::new();
    let y0 = normal(5, &[3, 2]);
    for (control, times) in [
        (Control::Fixed(Grid::Count(40)), shared_times()),
        (Control::Fixed(Grid::Size(0.05)), own_times()),
        (adaptive(1e-9), own_times()),
        (joint(1e-9), shared_times()),
    ] {
        let solver = Solver::new(tableau::DOPRI5, control).unwrap();
        let found = gradients(&net, &solver, &y0, &times, None);
        let value = |y0: &Tensor, times: &Tensor| {
            let _no_grad = tch::no_grad_guard();
            loss(&solver.solve(&net.field(), y0, times).unwrap().states).double_value(&[])
        };
        for entry in [0, 3, 5] {
            let wanted = difference(&|y| value(y, &times), &y0, entry);
            assert!((found[0].view([-1]).double_value(&[entry]) - wanted).abs() < 1e-6);
        }
        // Times that coincide cannot be moved one by one without changing their order.
        for entry in if times.dim() == 1 { vec![2, 3] } else { vec![0, 1, 5] } {
            let wanted = difference(&|t| value(&y0, t), &times, entry);
            let gap = found[1].view([-1]).double_value(&[entry]) - wanted;
            assert!(gap.abs() < 1e-5, "time {entry}: {gap}");
        }
        let bias = &net.parameters[1];
        let h = 1e-5;
        let moved = |by: f64| {
            let _no_grad = tch::no_grad_guard();
            let _ = bias.get(4).g_add_scalar_(by);
            let value = value(&y0, &times);
            let _ = bias.get(4).g_add_scalar_(-by);
            value
        };
        let wanted = (moved(h) - moved(-h)) / (2.0 * h);
        assert!((found[3].double_value(&[4]) - wanted).abs() < 1e-6);
    }
}

#[test]
fn checkpointed_gradients_are_those_of_the_same_steps() {
    let net = Net::new();
    let y0 = normal(5, &[3, 2]);
    for snapshots in [1, 3, 100] {
        let mode = Gradient::Checkpointed { snapshots };
        // Both end their steps at the two times, so that the steps are the same.
        let ends = vector(&[0.2, 1.5]);
        for control in [adaptive(1e-6), joint(1e-6), Control::Fixed(Grid::Count(23))] {
            let solver = Solver::new(tableau::TSIT5, control).unwrap();
            let recorded = gradients(&net, &solver, &y0, &ends, None);
            let found = gradients(&net, &solver, &y0, &ends, Some(&mode));
            close(&found, &recorded, 1e-12);
        }
        let solver = Solver::new(tableau::DOPRI5, adaptive(1e-8)).unwrap();
        for times in [shared_times(), own_times()] {
            let recorded = gradients(&net, &solver, &y0, &times, None);
            let found = gradients(&net, &solver, &y0, &times, Some(&mode));
            close(&found, &recorded, 1e-6);
        }
    }
}

#[test]
fn continuous_adjoints_agree_to_the_tolerance() {
    let net = Net::new();
    let y0 = normal(5, &[3, 2]);
    for (control, times) in [
        (adaptive(1e-9), shared_times()),
        (adaptive(1e-9), own_times()),
        (joint(1e-9), shared_times()),
        (Control::Fixed(Grid::Count(120)), own_times()),
        (Control::Fixed(Grid::Size(0.02)), shared_times()),
    ] {
        let solver = Solver::new(tableau::DOPRI5, control).unwrap();
        let recorded = gradients(&net, &solver, &y0, &times, None);
        let tight = Solver::new(tableau::DOP853, joint(1e-11)).unwrap();
        for mode in [
            Gradient::Adjoint { solver: None, seminorm: false },
            Gradient::Adjoint { solver: None, seminorm: true },
            Gradient::Adjoint { solver: Some(tight.clone()), seminorm: true },
            Gradient::Interpolated { solver: None },
            Gradient::Interpolated { solver: Some(tight) },
        ] {
            let found = gradients(&net, &solver, &y0, &times, Some(&mode));
            close(&found, &recorded, 2e-6);
        }
    }
}

#[test]
fn reversible_gradients_are_exact_for_their_scheme() {
    let net = Net::new();
    let y0 = normal(5, &[3, 2]);
    let mode = Gradient::Reversible { coupling: 0.99 };
    for (control, times) in [
        (Control::Fixed(Grid::Count(20)), shared_times()),
        (Control::Fixed(Grid::Count(20)), own_times()),
    ] {
        let solver = Solver::new(tableau::BOSH3, control).unwrap();
        let found = gradients(&net, &solver, &y0, &times, Some(&mode));
        let value = |y0: &Tensor| {
            let _no_grad = tch::no_grad_guard();
            let field = net.field();
            let solution = solver.solve_with(&field, &net.parameters, y0, &times, &mode).unwrap();
            loss(&solution.states).double_value(&[])
        };
        for entry in 0..6 {
            let wanted = difference(&value, &y0, entry);
            let gap = found[0].view([-1]).double_value(&[entry]) - wanted;
            assert!(gap.abs() < 1e-7, "{gap}");
        }
    }
    for (control, times) in [(adaptive(1e-9), own_times()), (joint(1e-9), shared_times())] {
        let solver = Solver::new(tableau::DOPRI5, control).unwrap();
        let recorded = gradients(&net, &solver, &y0, &times, None);
        close(&gradients(&net, &solver, &y0, &times, Some(&mode)), &recorded, 1e-6);
    }
    let bad = Gradient::Reversible { coupling: 0.0 };
    let solver = Solver::fixed(tableau::RK4, 3).unwrap();
    let message = solver.solve_with(&net.field(), &[], &y0, &shared_times(), &bad).unwrap_err();
    assert_eq!(message.to_string(), "coupling: expected a number in (0, 1], got 0");
}

#[test]
fn second_derivatives_flow_through_recorded_steps() {
    let net = Net::new();
    let solver = Solver::fixed(tableau::RK4, 12).unwrap();
    let second = |mode: Option<&Gradient>| {
        let y0 = normal(5, &[3, 2]).set_requires_grad(true);
        let (field, times) = (net.field(), vector(&[0.0, 1.0]));
        let solution = match mode {
            None => solver.solve(&field, &y0, &times).unwrap(),
            Some(mode) => solver.solve_with(&field, &net.parameters, &y0, &times, mode).unwrap(),
        };
        let first =
            grad(&[&loss(&solution.states)], &[None], &[&y0], Graph::Differentiable).unwrap();
        let first = first.into_iter().next().flatten().unwrap();
        let found = grad(
            &[&first.square().sum(Kind::Double)],
            &[None],
            &[&y0, &net.parameters[0]],
            Graph::Free,
        );
        found.unwrap().into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let recorded = second(None);
    close(&second(Some(&Gradient::Checkpointed { snapshots: 3 })), &recorded, 1e-12);
    // A part flows through the first derivative's own backward pass, which is the adjoint's.
    close(&second(Some(&Gradient::Adjoint { solver: None, seminorm: false })), &recorded, 1e-4);
}

#[test]
fn without_gradients_the_modes_are_plain_solves() {
    let net = Net::new();
    let _no_grad = tch::no_grad_guard();
    let solver = Solver::new(tableau::DOPRI5, adaptive(1e-6)).unwrap();
    let (y0, times) = (normal(5, &[3, 2]), shared_times());
    let plain = solver.solve(&net.field(), &y0, &times).unwrap();
    let mode = Gradient::Adjoint { solver: None, seminorm: true };
    let same = solver.solve_with(&net.field(), &net.parameters, &y0, &times, &mode).unwrap();
    assert_eq!(distance(&plain.states, &same.states), 0.0);
    assert_eq!(plain.counts, same.counts);
}
