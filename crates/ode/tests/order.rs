//! Orders of convergence, measured.

use crate::problems::{ones, smooth, smooth_exact};
use crate::{distance, slope, vector};
use maxlik_ode::tableau::{self, Dense, Estimate, Tableau};
use maxlik_ode::{Control, Explicit, Grid, Solver, Stepper};

pub(crate) const ALL: [Tableau; 12] = [
    tableau::EULER,
    tableau::MIDPOINT,
    tableau::HEUN,
    tableau::RALSTON,
    tableau::BOSH3,
    tableau::RK4,
    tableau::RK4_38,
    tableau::FEHLBERG45,
    tableau::DOPRI5,
    tableau::TSIT5,
    tableau::DOPRI8,
    tableau::DOP853,
];

/// The order at the end of the interval, for numbers of steps where the leading term rules and
/// rounding does not.
#[track_caller]
pub(crate) fn check_order(name: &str, order: u32, stepper: impl Fn() -> Box<dyn Stepper>) {
    let steps: &[usize] = match order {
        1 | 2 => &[128, 256, 512],
        3 | 4 => &[64, 128, 256],
        5 | 6 => &[20, 30, 45, 60],
        _ => &[6, 8, 10, 13],
    };
    let error = |&count: &usize| {
        let solver = Solver::fixed(stepper(), count).unwrap();
        let solution = solver.solve(&smooth(), &ones(1, 2), &vector(&[0.0, 1.0])).unwrap();
        distance(&solution.final_states(), &smooth_exact(1.0))
    };
    let errors: Vec<f64> = steps.iter().map(error).collect();
    let found = slope(steps, &errors);
    assert!((found - f64::from(order)).abs() < 0.15, "{name}: order {found}, not {order}");
}

#[test]
fn explicit_methods_have_their_orders() {
    for tableau in ALL {
        check_order(tableau.name, tableau.order, || tableau.into());
    }
}

#[test]
fn explicit_methods_go_backward() {
    for tableau in ALL {
        let solver = Solver::fixed(tableau, 200).unwrap();
        let end = solver.solve(&smooth(), &smooth_exact(1.0), &vector(&[1.0, 0.0])).unwrap();
        let error = distance(&end.final_states(), &ones(1, 2));
        assert!(
            error < 0.5 * 200.0_f64.powi(-(tableau.order as i32)) + 1e-13,
            "{}: {error}",
            tableau.name
        );
    }
}

#[test]
fn tableaux_are_consistent() {
    for t in ALL {
        let row = |weights: &[f64], sum: f64| {
            assert!((weights.iter().sum::<f64>() - sum).abs() < 1e-12, "{}: {weights:?}", t.name);
        };
        row(t.weights, 1.0);
        assert_eq!(t.matrix.len() + 1, t.stages(), "{}", t.name);
        for (i, (weights, c)) in t.matrix.iter().zip(&t.nodes[1..]).enumerate() {
            assert_eq!(weights.len(), i + 1, "{}", t.name);
            row(weights, *c);
        }
        match t.error {
            Estimate::None => {}
            Estimate::Embedded { weights, .. } => row(weights, 0.0),
            Estimate::Paired { fine, coarse, .. } => {
                row(fine, 0.0);
                row(coarse, 0.0);
            }
        }
    }
}

/// The estimate of one step has the power of the step size that the controller assumes.
#[test]
fn error_estimates_have_their_powers() {
    use maxlik_ode::{Point, Rows, Time};
    for tableau in ALL {
        let stepper = Explicit::new(tableau);
        let Some(power) = stepper.error_power() else { continue };
        let y = ones(1, 2);
        let estimate = |halving: usize| {
            let dt = Time::Shared((if power > 6 { 0.8 } else { 0.2 }) / halving as f64);
            let point = Point {
                field: &smooth(),
                rows: &Rows::all(),
                t: &Time::Shared(0.3),
                dt: &dt,
                y: &y,
                slope: None,
            };
            stepper.step(&point).unwrap().error.unwrap().abs().max().double_value(&[])
        };
        let found = slope(&[1, 2, 4, 8], &[1, 2, 4, 8].map(estimate));
        assert!((found - f64::from(power)).abs() < 0.5, "{}: {found}, not {power}", tableau.name);
    }
}

/// Inside a step the error of the solution has the order that the docs promise.
#[test]
fn dense_output_has_its_order() {
    for tableau in ALL {
        let order = match tableau.dense {
            Dense::Hermite => tableau.order.min(4),
            Dense::Polynomial(_) => 5,
            Dense::Nested { .. } => 8,
            Dense::Restep => tableau.order,
        };
        let steps: &[usize] = if order > 6 { &[7, 10, 14, 20] } else { &[24, 48, 96] };
        let worst = |&count: &usize| {
            let solver = Solver::new(tableau, Control::Fixed(Grid::Count(count))).unwrap();
            let times: Vec<f64> = (0..=61).map(|i| 1.6 * f64::from(i) / 61.0).collect();
            let solution = solver.solve(&smooth(), &ones(1, 2), &vector(&times)).unwrap();
            times.iter().enumerate().fold(0.0_f64, |worst, (i, &t)| {
                worst.max(distance(&solution.states.get(i as i64), &smooth_exact(t)))
            })
        };
        let found = slope(steps, &steps.iter().map(worst).collect::<Vec<_>>());
        assert!(found > f64::from(order) - 0.25, "{}: {found}, not {order}", tableau.name);
    }
}
