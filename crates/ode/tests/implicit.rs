//! Implicit methods: orders, stiff problems, gradients; exponential integrators.

use crate::order::check_order;
use crate::problems::{lotka_volterra, ones, relaxation, van_der_pol};
use crate::{distance, normal, slope, vector};
use maxlik_model::VectorField;
use maxlik_ode::diffusion::{DpmSolver, Schedule};
use maxlik_ode::implicit::{IMPLICIT_EULER, KVAERNO3, KVAERNO5, TRAPEZOID};
use maxlik_ode::{
    Adaptive, Control, FromFn, Gradient, Implicit, Rosenbrock23, SharedField, Solver, Status,
    Stepper, tableau,
};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, grad};
use tch::{Kind, Tensor};

fn all() -> [(&'static str, Box<dyn Stepper>); 5] {
    [
        ("implicit_euler", Implicit::new(IMPLICIT_EULER).newton(20, 1e-14).into()),
        ("trapezoid", Implicit::new(TRAPEZOID).newton(20, 1e-14).into()),
        ("kvaerno3", Implicit::new(KVAERNO3).newton(20, 1e-14).into()),
        ("kvaerno5", Implicit::new(KVAERNO5).newton(20, 1e-14).into()),
        ("rosenbrock23", Rosenbrock23.into()),
    ]
}

#[test]
fn implicit_methods_have_their_orders() {
    for (name, stepper) in all() {
        check_order(name, stepper.order(), || stepper.clone());
    }
}

/// With `λ = 10⁵` an explicit method would need 10⁵ steps.
#[test]
fn stiff_relaxation_takes_few_steps() {
    for (name, stepper) in all() {
        let solver = Solver::adaptive(stepper, Adaptive::new(1e-5, 1e-5)).unwrap();
        let solution =
            solver.solve(&relaxation(1e5), &(ones(2, 1) * 2.0), &vector(&[0.0, 1.0])).unwrap();
        assert_eq!(solution.status, [Status::Success; 2], "{name}");
        let gap = distance(&solution.final_states(), &(ones(2, 1) * 1.0_f64.cos()));
        assert!(gap < 1e-4, "{name}: {gap}");
        assert!(solution.counts[0].accepted < 600, "{name}: {:?}", solution.counts[0]);
    }
}

/// Van der Pol's oscillator with `μ = 1000`, against a value of Hairer and Wanner's test set
/// (`x(2) = 1.70616773217048…` in their scaled time `t/μ`).
#[test]
fn stiff_van_der_pol() {
    let y0 = vector(&[2.0, 0.0]).view([1, 2]);
    let solver = Solver::adaptive(KVAERNO5, Adaptive::new(1e-7, 1e-7)).unwrap();
    let solution = solver.solve(&van_der_pol(1000.0), &y0, &vector(&[0.0, 2000.0])).unwrap();
    let gap = (solution.final_states().double_value(&[0, 0]) - 1.706_167_732_170_48).abs();
    assert!(gap < 1e-6, "{gap}");
    assert!(solution.counts[0].accepted < 1500, "{:?}", solution.counts);
}

#[test]
fn methods_agree_on_what_is_not_stiff() {
    let y0 = ones(3, 2) + normal(1, &[3, 2]) * 0.1;
    let times = vector(&[0.0, 0.3, 1.0]);
    let reference = Solver::adaptive(tableau::DOP853, Adaptive::new(1e-12, 1e-12)).unwrap();
    let reference = reference.solve(&lotka_volterra(), &y0, &times).unwrap().states;
    for (stepper, limit) in [
        (Implicit::new(KVAERNO3).into(), 2e-5),
        (Implicit::new(KVAERNO5).into(), 2e-5),
        // Of order two: the errors of many steps add up.
        (Box::new(Rosenbrock23) as Box<dyn Stepper>, 2e-4),
    ] {
        for control in [Adaptive::new(1e-6, 1e-6), Adaptive::new(1e-6, 1e-6).joint()] {
            let solver = Solver::adaptive(stepper.clone(), control).unwrap();
            let found = solver.solve(&lotka_volterra(), &y0, &times).unwrap();
            let gap = distance(&found.states, &reference);
            assert!(gap < limit, "{solver:?}: {gap}");
        }
    }
}

#[test]
fn gradients_are_those_of_the_solution() {
    let weight = (normal(3, &[2, 2]) * 0.5).set_requires_grad(true);
    let by = |solver: &Solver, mode: Option<Gradient>| {
        let inside = weight.shallow_clone();
        let field = SharedField::from_fn(move |t, y| {
            Ok(y.matmul(&inside).tanh() * 3.0 - y * 20.0 + t.view([-1, 1]))
        });
        let y0 = normal(4, &[3, 2]).set_requires_grad(true);
        let times = vector(&[0.0, 0.5]);
        let end = match mode {
            None => solver.solve(&field, &y0, &times).unwrap(),
            Some(mode) => {
                solver.solve_with(&field, &[weight.shallow_clone()], &y0, &times, &mode).unwrap()
            }
        };
        let loss = end.final_states().sin().sum(Kind::Double);
        let found = grad(&[&loss], &[None], &[&y0, &weight], Graph::Free).unwrap();
        found.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let reference =
        by(&Solver::adaptive(tableau::DOP853, Adaptive::new(1e-11, 1e-11)).unwrap(), None);
    let checkpointed = || Some(Gradient::Checkpointed { snapshots: 5 });
    let fixed = |n| Control::Fixed(maxlik_ode::Grid::Count(n));
    let adaptive = Control::Adaptive(Adaptive::new(1e-6, 1e-6));
    let rosenbrock = || Box::new(Rosenbrock23) as Box<dyn Stepper>;
    for (stepper, control, mode, limit) in [
        (Implicit::new(KVAERNO5).into(), adaptive.clone(), None, 1e-5),
        (Implicit::new(KVAERNO3).into(), adaptive, None, 1e-5),
        (Implicit::new(KVAERNO5).into(), fixed(16), checkpointed(), 1e-5),
        (rosenbrock(), fixed(50), None, 1e-3),
        (rosenbrock(), fixed(50), checkpointed(), 1e-3),
    ] {
        let solver = Solver::new(stepper, control).unwrap();
        for (found, wanted) in by(&solver, mode).iter().zip(&reference) {
            let gap = distance(found, wanted);
            assert!(gap < limit, "{solver:?}: {gap}");
        }
    }
}

/// The matrices of events with more than 128 numbers are solved one by one (LibTorch's batched
/// factorization of such matrices may not return on the CPU).
#[test]
fn large_events_return() {
    let y0 = normal(1, &[3, 160]);
    let field = FromFn(|_: &Tensor, y: &Tensor| Ok(y * -1e4));
    let solver = Solver::fixed(Implicit::new(IMPLICIT_EULER), 2).unwrap();
    let solution = solver.solve(&field, &y0, &vector(&[0.0, 1.0])).unwrap();
    assert!(distance(&solution.final_states(), &(&y0 / (1.0 + 0.5e4_f64).powi(2))) < 1e-12);
}

#[test]
fn a_failing_iteration_is_a_failing_step() {
    // y′ = y² with a step over the pole: the implicit equation has no root.
    let pole = FromFn(|_: &Tensor, y: &Tensor| Ok(y.square()));
    let solver = Solver::fixed(Implicit::new(IMPLICIT_EULER), 1).unwrap();
    let y0 = vector(&[10.0, 0.1]).view([2, 1]);
    let solution = solver.solve(&pole, &y0, &vector(&[0.0, 1.0])).unwrap();
    assert_eq!(solution.status, [Status::NonFinite, Status::Success]);
    let solver = Solver::adaptive(Implicit::new(KVAERNO3), Adaptive::new(1e-6, 1e-6)).unwrap();
    let solution = solver.solve(&pole, &y0, &vector(&[0.0, 1.0])).unwrap();
    assert!(!solution.status[0].is_success() && (solution.reached[0] - 0.1).abs() < 1e-3);
    assert!((solution.states.double_value(&[1, 1, 0]) - 0.1 / 0.9).abs() < 1e-5);
}

/// The noise prediction of `x₀ ~ N(0, s²)`: the ODE keeps `x/√(α² s² + σ²)`.
#[derive(Debug)]
struct NormalNoise(Schedule, f64);

impl NormalNoise {
    fn variance(&self, t: &Tensor) -> Result<Tensor> {
        Ok(self.0.alpha(t)?.square() * (self.1 * self.1) + self.0.sigma(t)?.square())
    }
}

impl VectorField for NormalNoise {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x * (self.0.sigma(t)? / self.variance(t)?).view([-1, 1]))
    }
}

#[test]
fn exponential_integrators_have_their_orders() {
    let schedules = [
        Schedule::LINEAR,
        Schedule::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 },
        Schedule::VarianceExploding { sigma_min: 0.01, sigma_max: 20.0 },
    ];
    for schedule in schedules {
        let network = NormalNoise(schedule, 0.5);
        let x = normal(1, &[4, 2]);
        let (from, to) = (0.9, 0.05);
        let std = |t: f64| network.variance(&vector(&[t])).unwrap().sqrt();
        let exact = &x * std(to) / std(from);
        for (solver, order) in [
            (DpmSolver::First, 1.0),
            (DpmSolver::Second, 2.0),
            (DpmSolver::Third, 3.0),
            (DpmSolver::Multistep, 2.0),
        ] {
            let steps = if order == 1.0 { [200, 280, 400] } else { [80, 112, 160] };
            let errors = steps.map(|n| {
                let end = solver.solve(schedule, &network, &x, None, (from, to), n).unwrap();
                distance(&end, &exact)
            });
            let found = slope(&steps, &errors);
            assert!((found - order).abs() < 0.15, "{solver:?}, {schedule:?}: {found}");
        }
        let t = vector(&[0.02, 0.5, 1.0]);
        let lambda = (schedule.alpha(&t).unwrap() / schedule.sigma(&t).unwrap()).log();
        for i in 0..3 {
            let back = schedule.time_of(lambda.double_value(&[i]));
            assert!((back - t.double_value(&[i])).abs() < 1e-9);
        }
    }
    let network = NormalNoise(Schedule::LINEAR, 0.5);
    let start = ones(1, 1);
    assert!(
        DpmSolver::First.solve(Schedule::LINEAR, &network, &start, None, (1.0, 0.0), 5).is_err()
    );
    assert!(
        DpmSolver::First.solve(Schedule::LINEAR, &network, &start, None, (1.0, 0.1), 0).is_err()
    );
}
