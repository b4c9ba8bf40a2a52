//! Batches: samples with times and steps of their own.

use crate::problems::{linear, linear_exact, ones};
use crate::{distance, normal, vector};
use maxlik_ode::tableau;
use maxlik_ode::{Adaptive, Control, Field, FromFn, Grid, Rows, Solver, Status};
use maxlik_tensor::Result;
use proptest::prelude::*;
use tch::{Kind, Tensor};

/// `y′ = ω (−y₂, y₁)`, with the frequency of each sample of the original batch.
#[derive(Debug)]
struct Rotation(Tensor);

impl Field for Rotation {
    fn rate(&self, _t: &Tensor, y: &Tensor, rows: &Rows) -> Result<Tensor> {
        let frequency = rows.select(0, &self.0)?.view([-1, 1]);
        Ok(Tensor::stack(&[-y.select(1, 1), y.select(1, 0)], 1) * frequency)
    }
}

fn rotated(frequency: &Tensor, t: f64) -> Tensor {
    let angle = frequency * t;
    Tensor::stack(&[angle.cos() - angle.sin(), angle.cos() + angle.sin()], 1)
}

#[test]
fn one_hard_sample_does_not_slow_the_others() {
    let mut frequencies = vec![1.0; 512];
    frequencies[77] = 200.0;
    let frequencies = vector(&frequencies);
    let field = Rotation(frequencies.shallow_clone());
    let control = Adaptive::new(1e-5, 1e-5);
    let times = vector(&[0.0, 1.0]);
    let solver = Solver::adaptive(tableau::DOPRI5, control.clone()).unwrap();
    let solution = solver.solve(&field, &ones(512, 2), &times).unwrap();
    let hard = solution.counts[77].evaluations;
    let easy = solution.counts.iter().enumerate().filter(|(i, _)| *i != 77);
    let easy = easy.map(|(_, c)| c.evaluations).max().unwrap();
    assert!(easy < 60 && hard > 20 * easy, "{easy} and {hard} evaluations");
    assert!(distance(&solution.final_states(), &rotated(&frequencies, 1.0)) < 1e-2);
    // With one step size for all, every sample pays for the hard one.
    let joint = Solver::adaptive(tableau::DOPRI5, control.joint()).unwrap();
    let joint = joint.solve(&field, &ones(512, 2), &times).unwrap();
    assert!(joint.counts[0].evaluations > 10 * easy);
}

#[test]
fn samples_do_not_see_each_other() {
    let frequencies = vector(&[1.0, 7.0, 0.0, 30.0]);
    let solver = Solver::adaptive(tableau::TSIT5, Adaptive::new(1e-7, 1e-9)).unwrap();
    let times = vector(&[0.0, 0.25, 0.3, 1.0]);
    let together =
        solver.solve(&Rotation(frequencies.shallow_clone()), &ones(4, 2), &times).unwrap();
    for row in 0..4 {
        let field = Rotation(frequencies.narrow(0, row, 1));
        let alone = solver.solve(&field, &ones(1, 2), &times).unwrap();
        let same = together.states.narrow(1, row, 1);
        assert!(distance(&alone.states, &same) < 1e-13);
        assert_eq!(alone.counts[0], together.counts[row as usize]);
    }
}

#[test]
fn samples_may_have_times_of_their_own() {
    let times = vector(&[0.0, 0.5, 1.0, 2.0, 1.5, -1.0, 0.3, 0.3, 0.3]).view([3, 3]);
    let frequencies = vector(&[1.0, 2.0, 3.0]);
    let field = Rotation(frequencies.shallow_clone());
    let adaptive = Control::Adaptive(Adaptive::new(1e-9, 1e-9));
    for (control, tolerance) in [
        (adaptive, 1e-7),
        (Control::Fixed(Grid::Count(200)), 1e-6),
        (Control::Fixed(Grid::Size(0.01)), 1e-6),
    ] {
        let solver = Solver::new(tableau::DOPRI5, control).unwrap();
        let solution = solver.solve(&field, &ones(3, 2), &times).unwrap();
        for row in 0..3 {
            for i in 0..3 {
                let passed = times.double_value(&[row, i]) - times.double_value(&[row, 0]);
                let exact = rotated(&frequencies.narrow(0, row, 1), passed);
                let found = solution.states.get(i).narrow(0, row, 1);
                assert!(distance(&found, &exact) < tolerance, "row {row}, time {i}");
            }
        }
        assert_eq!(solution.counts[2].accepted, 0);
    }
    let joint = Solver::adaptive(tableau::DOPRI5, Adaptive::default().joint()).unwrap();
    assert!(joint.solve(&field, &ones(3, 2), &times).is_err());
}

#[test]
fn a_failing_sample_leaves_the_others_alone() {
    let field = FromFn(|_: &Tensor, y: &Tensor| Ok(y.square()));
    let y0 = vector(&[0.1, 2.0, -1.0]).view([3, 1]);
    let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-8, 1e-8)).unwrap();
    let solution = solver.solve(&field, &y0, &vector(&[0.0, 1.0])).unwrap();
    assert_eq!((solution.status[0], solution.status[2]), (Status::Success, Status::Success));
    assert!(!solution.status[1].is_success() && (solution.reached[1] - 0.5).abs() < 1e-3);
    assert!((solution.states.double_value(&[1, 0, 0]) - 0.1 / 0.9).abs() < 1e-7);
    assert!((solution.states.double_value(&[1, 2, 0]) + 0.5).abs() < 1e-7);
}

#[test]
fn float32_states_and_events_of_any_shape() {
    let y0 = ones(2, 6).view([2, 3, 2]).to_kind(Kind::Float);
    let field = FromFn(|t: &Tensor, y: &Tensor| {
        assert_eq!((t.size(), t.kind()), (vec![y.size()[0]], Kind::Float));
        Ok(y * -1.0)
    });
    for control in [Adaptive::new(1e-5, 1e-6), Adaptive::new(1e-5, 1e-6).joint()] {
        for tableau in [tableau::BOSH3, tableau::DOPRI5, tableau::DOP853] {
            let solver = Solver::adaptive(tableau, control.clone()).unwrap();
            let solution = solver.solve(&field, &y0, &vector(&[0.0, 0.4, 1.0])).unwrap();
            assert_eq!(
                (solution.states.size(), solution.states.kind()),
                (vec![3, 2, 3, 2], Kind::Float)
            );
            assert!(distance(&solution.final_states(), &(&y0 * (-1.0_f64).exp())) < 2e-5);
            assert!(distance(&solution.states.get(1), &(&y0 * (-0.4_f64).exp())) < 2e-5);
        }
    }
}

#[test]
fn empty_batches_are_fine() {
    let y0 = ones(0, 2);
    for solver in
        [Solver::fixed(tableau::RK4, 3), Solver::adaptive(tableau::DOPRI5, Adaptive::default())]
    {
        let solution = solver.unwrap().solve(&linear(), &y0, &vector(&[0.0, 0.5, 1.0])).unwrap();
        assert_eq!(solution.states.size(), [3, 0, 2]);
        assert!(solution.status.is_empty() && solution.steps == 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_batch_any_times(seed in 0_u64..1 << 40, batch in 1_i64..5, count in 1_usize..5, back in any::<bool>()) {
        let y0 = normal(seed, &[batch, 2]);
        let mut times: Vec<f64> = Vec::<f64>::try_from(normal(seed + 1, &[count as i64])).unwrap();
        times.sort_by(|a, b| if back { b.total_cmp(a) } else { a.total_cmp(b) });
        let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-9, 1e-9)).unwrap();
        let solution = solver.solve(&linear(), &y0, &vector(&times)).unwrap();
        prop_assert!(solution.status.iter().all(|s| *s == Status::Success));
        for (i, t) in times.iter().enumerate() {
            for row in 0..batch {
                let start = (y0.double_value(&[row, 0]), y0.double_value(&[row, 1]));
                let exact = linear_exact(t - times[0], start);
                let found = solution.states.get(i as i64).narrow(0, row, 1);
                prop_assert!(distance(&found, &exact) < 1e-6);
            }
        }
    }
}
