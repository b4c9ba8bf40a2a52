//! Adams–Bashforth–Moulton methods.

use crate::problems::{ones, smooth, smooth_exact};
use crate::{distance, slope, vector};
use maxlik_ode::{Abm, Field, FromFn, Status};
use maxlik_tensor::autograd::{Graph, gradient};
use tch::{Kind, Tensor};

#[test]
fn methods_have_their_orders_also_between_steps() {
    for order in 1..=6_usize {
        let (end, steps): (f64, &[usize]) = match order {
            1 | 2 => (1.0, &[128, 256, 512]),
            3 | 4 => (1.0, &[64, 128, 256]),
            5 => (3.0, &[64, 96, 128]),
            _ => (2.0, &[128, 192, 256]),
        };
        let times = vector(&[0.0, 0.717 * end, 0.93 * end, end]);
        let run = |count: usize, at: i64, t: f64| {
            let abm = Abm::new(order, count).unwrap();
            let solution = abm.solve(&smooth(), &ones(1, 2), &times).unwrap();
            distance(&solution.states.get(at), &smooth_exact(t))
        };
        let ends: Vec<f64> = steps.iter().map(|&n| run(n, 3, end)).collect();
        let found = slope(steps, &ends);
        assert!((found - order as f64).abs() < 0.15, "order {found}, not {order}: {ends:?}");
        for (at, t) in [(1, 0.717 * end), (2, 0.93 * end)] {
            let error = run(steps[2], at, t);
            assert!(error < 30.0 * ends[2] + 1e-13, "order {order}: {error} at {t}, {ends:?}");
        }
    }
}

#[test]
fn two_evaluations_a_step_and_backward() {
    let abm = Abm::new(4, 100).unwrap();
    let solution = abm.solve(&smooth(), &smooth_exact(1.0), &vector(&[1.0, 0.0])).unwrap();
    assert!(distance(&solution.final_states(), &ones(1, 2)) < 1e-6);
    assert_eq!(solution.status, [Status::Success]);
    assert!(solution.counts[0].evaluations < 2 * 100 + 40);
}

#[test]
fn gradients_flow_through_the_steps() {
    let decay = FromFn(|_: &Tensor, y: &Tensor| Ok(y * -1.0));
    let y0 = ones(2, 1).set_requires_grad(true);
    let abm = Abm::new(5, 60).unwrap();
    let end = abm.solve(&decay as &dyn Field, &y0, &vector(&[0.0, 1.0])).unwrap().final_states();
    let by_start = gradient(&end.sum(Kind::Double), None, &y0, Graph::Free).unwrap();
    assert!(distance(&by_start, &(ones(2, 1) * (-1.0_f64).exp())) < 1e-8);
    assert!(Abm::new(7, 10).is_err() && Abm::new(4, 0).is_err());
}
