//! Events: where they are, what they end, and their gradients.

use crate::problems::ones;
use crate::{distance, vector};
use maxlik_ode::tableau;
use maxlik_ode::{Adaptive, Crossing, Event, Field, FromFn, Solver, Status};
use maxlik_tensor::autograd::{Graph, gradient};
use tch::{Kind, Tensor};

/// A falling body: `y = (height, speed)`.
fn fall() -> impl Field {
    FromFn(|_: &Tensor, y: &Tensor| {
        let speed = y.select(1, 1);
        let gravity = speed.ones_like() * -9.81;
        Ok(Tensor::stack(&[speed, gravity], 1))
    })
}

fn height(_t: &Tensor, y: &Tensor) -> maxlik_tensor::Result<Tensor> {
    Ok(y.select(1, 0))
}

#[test]
fn bodies_hit_the_ground() {
    let y0 = vector(&[1.0, 0.0, 5.0, 0.0, 2.0, 3.0, 1e3, 0.0]).view([4, 2]);
    let event = Event { function: &height, crossing: Crossing::Falling, terminal: true };
    for tableau in [tableau::DOPRI5, tableau::DOP853, tableau::DOPRI8, tableau::BOSH3] {
        let solver = Solver::adaptive(tableau, Adaptive::new(1e-10, 1e-10)).unwrap();
        let times = vector(&[0.0, 0.2, 3.0]);
        let solution = solver.solve_until(&fall(), &y0, &times, &[event]).unwrap();
        assert_eq!(solution.status[..3], [Status::Event(0); 3]);
        assert_eq!(solution.status[3], Status::Success);
        for (row, (h, v)) in [(1.0, 0.0), (5.0, 0.0), (2.0, 3.0)].into_iter().enumerate() {
            let exact = (v + f64::sqrt(v * v + 2.0 * 9.81 * h)) / 9.81;
            assert!((solution.reached[row] - exact).abs() < 1e-9, "{}", tableau.name);
            assert!(solution.last.double_value(&[row as i64, 0]).abs() < 1e-9);
            let early = solution.states.double_value(&[1, row as i64, 0]);
            assert!((early - (h + 0.2 * v - 0.5 * 9.81 * 0.04)).abs() < 1e-9);
            assert!(solution.states.double_value(&[2, row as i64, 0]).is_nan());
        }
        assert_eq!(solution.events.len(), 3);
    }
}

#[test]
fn crossings_are_counted_by_direction() {
    let circle =
        FromFn(|_: &Tensor, y: &Tensor| Ok(Tensor::stack(&[-y.select(1, 1), y.select(1, 0)], 1)));
    let y0 = vector(&[1.0, 0.0]).view([1, 2]);
    let solver = Solver::adaptive(tableau::DOP853, Adaptive::new(1e-11, 1e-11)).unwrap();
    let function = &height;
    for (crossing, first, count) in
        [(Crossing::Any, 0.5, 4), (Crossing::Falling, 0.5, 2), (Crossing::Rising, 1.5, 2)]
    {
        let event = Event { function, crossing, terminal: false };
        let times = vector(&[0.0, 4.0 * std::f64::consts::PI]);
        let solution = solver.solve_until(&circle, &y0, &times, &[event]).unwrap();
        assert_eq!((solution.events.len(), solution.status[0]), (count, Status::Success));
        let time = solution.events[0].time.double_value(&[]);
        assert!((time - first * std::f64::consts::PI).abs() < 1e-9, "{time}");
    }
}

#[test]
fn event_times_and_states_are_differentiable() {
    // t* = √(2 h / g): ∂t*/∂h = 1 / √(2 g h); v* = −√(2 g h).
    let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-9, 1e-9)).unwrap();
    let event = Event { function: &height, crossing: Crossing::Any, terminal: true };
    let y0 = vector(&[1.3, 0.0]).view([1, 2]).set_requires_grad(true);
    let solution = solver.solve_until(&fall(), &y0, &vector(&[0.0, 3.0]), &[event]).unwrap();
    let found = &solution.events[0];
    let exact = 1.0 / f64::sqrt(2.0 * 9.81 * 1.3);
    let by_time = gradient(&found.time, None, &y0, Graph::Keep).unwrap().double_value(&[0, 0]);
    assert!((by_time - exact).abs() < 1e-7, "{by_time} and {exact}");
    let speed = found.state.select(0, 1);
    let by_speed = gradient(&speed, None, &y0, Graph::Keep).unwrap().double_value(&[0, 0]);
    assert!((by_speed + 9.81 * exact).abs() < 1e-6, "{by_speed}");
    let level = found.state.select(0, 0);
    assert!(gradient(&level, None, &y0, Graph::Free).unwrap().abs().max().double_value(&[]) < 1e-7);
}

#[test]
fn events_need_steps_of_their_own() {
    let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::default().joint()).unwrap();
    let event = Event { function: &height, crossing: Crossing::Any, terminal: true };
    let times = vector(&[0.0, 3.0]);
    assert!(solver.solve_until(&fall(), &ones(2, 2), &times, &[event]).is_err());
    let wrong = |_: &Tensor, y: &Tensor| Ok(y.sum(Kind::Double));
    let event = Event { function: &wrong, ..event };
    let message =
        solver.solve_until(&fall(), &ones(1, 2), &times, &[event]).unwrap_err().to_string();
    assert_eq!(message, "value of the event function: expected shape [1], got []");
    let fixed = Solver::fixed(tableau::RK4, 30).unwrap();
    let event = Event { function: &height, crossing: Crossing::Any, terminal: true };
    let solution = fixed.solve_until(&fall(), &ones(2, 2), &times, &[event]).unwrap();
    assert!(
        distance(
            &solution.last.select(1, 0),
            &Tensor::zeros([2], (Kind::Double, tch::Device::Cpu))
        ) < 1e-9
    );
}
