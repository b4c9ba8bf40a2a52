//! Adaptive steps: errors against tolerances, statuses, stops and jumps.

use crate::problems::{
    ARENSTORF_PERIOD, arenstorf, arenstorf_start, linear, linear_exact, lotka_volterra, ones,
    relaxation, van_der_pol,
};
use crate::{distance, vector};
use maxlik_ode::tableau::{self, Tableau};
use maxlik_ode::{Adaptive, Bound, Field, FromFn, Gains, Solver, Status};
use tch::Tensor;

const ADAPTIVE: [Tableau; 6] = [
    tableau::BOSH3,
    tableau::FEHLBERG45,
    tableau::DOPRI5,
    tableau::TSIT5,
    tableau::DOPRI8,
    tableau::DOP853,
];

fn end(tableau: Tableau, control: Adaptive, field: &dyn Field, y0: &Tensor, t1: f64) -> Tensor {
    let solver = Solver::adaptive(tableau, control).unwrap();
    let solution = solver.solve(field, y0, &vector(&[0.0, t1])).unwrap();
    assert_eq!(solution.status, [Status::Success], "{}", tableau.name);
    solution.final_states()
}

/// The error stays within ten times the tolerance, for all methods and controllers.
#[track_caller]
fn check_tolerance(field: &dyn Field, y0: &Tensor, t1: f64, exact: &Tensor, tolerance: f64) {
    for tableau in ADAPTIVE {
        let all = [Gains::I, Gains::PI, Gains::PID];
        for gains in if tableau.order < 8 { &all[..] } else { &all[..1] } {
            let gains = *gains;
            // Methods of low order would need too many steps for a test.
            let tolerance = if tableau.order < 4 { tolerance.max(1e-5) } else { tolerance };
            let control = Adaptive { gains, ..Adaptive::new(tolerance, tolerance) };
            let error = distance(&end(tableau, control, field, y0, t1), exact);
            let scale = 1.0 + exact.abs().max().double_value(&[]);
            assert!(error < 10.0 * tolerance * scale, "{}, {gains:?}: {error}", tableau.name);
        }
    }
}

/// A reference from a method of order 8 at a tolerance near rounding.
fn reference(field: &dyn Field, y0: &Tensor, t1: f64) -> Tensor {
    end(tableau::DOP853, Adaptive::new(1e-13, 1e-13), field, y0, t1)
}

#[test]
fn linear_system() {
    let y0 = vector(&[1.0, -0.5]).view([1, 2]);
    check_tolerance(&linear(), &y0, 2.0, &linear_exact(2.0, (1.0, -0.5)), 1e-8);
}

#[test]
fn lotka_volterra_cycle() {
    let y0 = ones(1, 2);
    check_tolerance(&lotka_volterra(), &y0, 3.0, &reference(&lotka_volterra(), &y0, 3.0), 1e-8);
}

#[test]
fn van_der_pol_oscillator() {
    let (field, y0) = (van_der_pol(5.0), vector(&[2.0, 0.0]).view([1, 2]));
    check_tolerance(&field, &y0, 3.0, &reference(&field, &y0, 3.0), 1e-8);
}

#[test]
fn stiff_relaxation() {
    let y0 = ones(1, 1) * 3.0;
    check_tolerance(&relaxation(200.0), &y0, 1.0, &(ones(1, 1) * 1.0_f64.cos()), 1e-7);
}

/// The orbit closes, where an error at the start grows by a factor of about 10⁵ in one period.
#[test]
fn arenstorf_orbit_closes() {
    for (tableau, tolerance) in [
        (tableau::DOPRI5, 1e-9),
        (tableau::TSIT5, 1e-9),
        (tableau::DOP853, 1e-11),
        (tableau::DOPRI8, 1e-11),
    ] {
        let control = Adaptive::new(tolerance, tolerance);
        let y = end(tableau, control, &arenstorf(), &arenstorf_start(), ARENSTORF_PERIOD);
        let error = distance(&y.narrow(1, 0, 2), &arenstorf_start().narrow(1, 0, 2));
        assert!(error < 1e6 * tolerance, "{}: {error}", tableau.name);
    }
}

#[test]
fn tolerances_may_differ_by_dimension() {
    let y0 = vector(&[1.0, 1.0]).view([1, 2]);
    let control = Adaptive {
        rtol: Bound::All(0.0),
        atol: Bound::Each(vec![1e-10, 1e3]),
        ..Adaptive::default()
    };
    // Only the first number counts: the second, fast one may go wrong, but is stable.
    let field = FromFn(|_: &Tensor, y: &Tensor| Ok(y * vector(&[-1.0, -3.0])));
    let y = end(tableau::DOPRI5, control, &field, &y0, 1.0);
    assert!((y.double_value(&[0, 0]) - (-1.0_f64).exp()).abs() < 1e-9);
    let wrong = Adaptive { atol: Bound::Each(vec![1.0; 3]), ..Adaptive::default() };
    let solver = Solver::adaptive(tableau::DOPRI5, wrong).unwrap();
    let message = solver.solve(&field, &y0, &vector(&[0.0, 1.0])).unwrap_err().to_string();
    assert!(message.starts_with("atol: expected 2 numbers"), "{message}");
}

#[test]
fn steps_end_at_stops_and_start_anew_after_jumps() {
    // y′ = 1 before t = 0.3 and −1 after: exact for any method that does not step across.
    let field = FromFn(|t: &Tensor, y: &Tensor| {
        Ok((t.f_lt(0.3)?.to_kind(y.kind()) * 2.0 - 1.0).view([-1, 1]) * y.ones_like())
    });
    for sign in [1.0, -1.0] {
        let times = if sign > 0.0 { vector(&[0.0, 1.0]) } else { vector(&[1.0, 0.0]) };
        let start = if sign > 0.0 { 0.0 } else { -0.4 };
        let control = Adaptive { jump_t: vec![0.3], ..Adaptive::new(1e-10, 1e-10) };
        let solver = Solver::adaptive(tableau::DOPRI5, control).unwrap();
        let solution = solver.solve(&field, &(ones(1, 1) * start), &times).unwrap();
        let exact = if sign > 0.0 { -0.4 } else { 0.0 };
        assert!(distance(&solution.final_states(), &(ones(1, 1) * exact)) < 1e-14);
        assert_eq!(solution.counts[0].rejected, 0);
    }
    let control = Adaptive { step_t: vec![0.2, 0.7], first_step: Some(1.0), ..Adaptive::default() };
    let solver = Solver::adaptive(tableau::DOPRI5, control).unwrap();
    let flat = FromFn(|_: &Tensor, y: &Tensor| Ok(y.zeros_like()));
    let solution = solver.solve(&flat, &ones(1, 1), &vector(&[0.0, 1.0])).unwrap();
    assert_eq!(solution.counts[0].accepted, 3);
}

#[test]
fn step_limits_hold() {
    let control = Adaptive { max_step: 0.1, ..Adaptive::new(1e-3, 1e-3) };
    let solver = Solver::adaptive(tableau::DOPRI5, control).unwrap();
    let solution = solver.solve(&linear(), &ones(1, 2), &vector(&[0.0, 1.0])).unwrap();
    assert!(solution.counts[0].accepted >= 10);
}

#[test]
fn what_cannot_be_solved_has_a_status_and_a_last_state() {
    // y′ = y² from 1 has a pole at t = 1.
    let pole = FromFn(|_: &Tensor, y: &Tensor| Ok(y.square()));
    let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::default()).unwrap();
    let solution = solver.solve(&pole, &ones(1, 1), &vector(&[0.0, 0.5, 2.0])).unwrap();
    assert!(matches!(solution.status[0], Status::StepUnderflow | Status::NonFinite));
    assert!((solution.reached[0] - 1.0).abs() < 1e-3 && solution.last.double_value(&[0, 0]) > 1e3);
    assert!((solution.states.double_value(&[1, 0, 0]) - 2.0).abs() < 1e-5);
    assert!(solution.states.double_value(&[2, 0, 0]).is_nan());
    assert!(solution.ensure_success().is_err());

    let few = Adaptive { max_steps: 5, ..Adaptive::new(1e-10, 1e-10) };
    let solver = Solver::adaptive(tableau::DOPRI5, few).unwrap();
    let solution = solver.solve(&linear(), &ones(1, 2), &vector(&[0.0, 100.0])).unwrap();
    assert_eq!(solution.status, [Status::TooManySteps]);
    let counts = solution.counts[0];
    assert_eq!(counts.accepted + counts.rejected, 5);
    let error = distance(&solution.last, &linear_exact(solution.reached[0], (1.0, 1.0)));
    assert!(error < 1e-8, "{error}");

    let least = Adaptive { min_step: 0.1, ..Adaptive::new(1e-12, 1e-12) };
    let solver = Solver::adaptive(tableau::DOPRI5, least).unwrap();
    let solution = solver.solve(&relaxation(200.0), &ones(1, 1), &vector(&[0.0, 1.0])).unwrap();
    assert_eq!((solution.status[0], solution.reached[0]), (Status::StepUnderflow, 0.0));

    let broken = FromFn(|_: &Tensor, y: &Tensor| Ok(y * f64::NAN));
    let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::default()).unwrap();
    let solution = solver.solve(&broken, &ones(2, 1), &vector(&[0.0, 1.0])).unwrap();
    assert_eq!(solution.status, [Status::NonFinite; 2]);
    assert_eq!(distance(&solution.last, &ones(2, 1)), 0.0);
    let fixed = Solver::fixed(tableau::RK4, 3).unwrap();
    let solution = fixed.solve(&broken, &ones(2, 1), &vector(&[0.0, 1.0])).unwrap();
    assert_eq!(solution.status, [Status::NonFinite; 2]);
}

#[test]
fn bad_input_is_one_clear_line() {
    let message = Solver::adaptive(tableau::RK4, Adaptive::default()).unwrap_err().to_string();
    assert_eq!(message, "control: this method has no error estimate: give it fixed steps");
    let negative = Adaptive { rtol: Bound::All(-1.0), ..Adaptive::default() };
    let message = Solver::adaptive(tableau::DOPRI5, negative).unwrap_err().to_string();
    assert_eq!(message, "rtol: expected numbers ≥ 0, got -1");
    let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::default()).unwrap();
    let solve = |y0: &Tensor, times: &[f64]| {
        solver.solve(&linear(), y0, &vector(times)).unwrap_err().to_string()
    };
    assert_eq!(
        solve(&ones(1, 2), &[0.0, 1.0, 0.5]),
        "times: expected a monotone row, got [0.0, 1.0, 0.5]"
    );
    assert_eq!(solve(&ones(1, 2), &[0.0, f64::NAN]), "times: expected finite times, got NaN");
    assert_eq!(
        solve(&ones(1, 2).select(0, 0).select(0, 0), &[0.0, 1.0]),
        "y0: expected shape [B, …], got []"
    );
    let wide = FromFn(|_: &Tensor, y: &Tensor| Ok(Tensor::cat(&[y, y], 1)));
    let message = solver.solve(&wide, &ones(1, 2), &vector(&[0.0, 1.0])).unwrap_err().to_string();
    assert_eq!(message, "rate of the field: expected shape [1, 2], got [1, 4]");
}
