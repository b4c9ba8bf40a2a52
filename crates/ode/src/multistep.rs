//! Adams–Bashforth–Moulton methods.

use crate::collect::Collector;
use crate::lane::Times;
use crate::solution::{Counts, Status};
use crate::solve::check_start;
use crate::time::{flat_rows, numbers};
use crate::{Field, Point, Rows, Solution, Stepper, Time, gradient, tableau};
use maxlik_tensor::{Error, Result, host};
use std::collections::VecDeque;
use tch::Tensor;

/// The predictor–corrector pair of order `k` with equal steps: Adams and Bashforth's method over the
/// last `k` slopes predicts, Adams and Moulton's method of the same order corrects, and the slope is
/// evaluated after both (PECE): two evaluations a step, whatever the order.
///
/// The first `k − 1` steps are those of [`tableau::DOP853`]. Between the steps the solution is the
/// integral of the corrector's polynomial (Hairer, Nørsett and Wanner, "Solving Ordinary
/// Differential Equations I", sec. III.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abm {
    order: usize,
    steps: usize,
}

impl Abm {
    /// The pair of order 1 to 6, with so many steps from the first to the last time.
    ///
    /// # Errors
    /// [`Error::Config`] for another order or no steps.
    pub fn new(order: usize, steps: usize) -> Result<Self> {
        if !(1..=6).contains(&order) {
            return Err(Error::config("order", format!("expected 1 to 6, got {order}")));
        }
        if steps == 0 {
            return Err(Error::config("steps", "expected at least one"));
        }
        Ok(Self { order, steps })
    }

    /// Solves `dy/dt = f(t, y)` from `y0` `[B, …]`; `times` is `[T]`, forward or backward. Gradients
    /// flow through all steps.
    ///
    /// # Errors
    /// Those of the field, and those of [`crate::Solver::solve`] for arguments that do not fit.
    pub fn solve(&self, field: &dyn Field, y0: &Tensor, times: &Tensor) -> Result<Solution> {
        let parsed = check_start(y0, times)?;
        if !parsed.is_shared() {
            return Err(Error::shape("times", "[T]", &times.size()));
        }
        let y0 = gradient::times::depart(field, y0, times)?;
        let mut solution = self.run(field, &y0, &parsed)?;
        solution.states = gradient::times::arrive(field, solution.states, times)?;
        Ok(solution)
    }

    fn run(&self, field: &dyn Field, y0: &Tensor, times: &Times) -> Result<Solution> {
        let times = times.of(0);
        let (t0, t1) = (times[0], times[times.len() - 1]);
        let batch = usize::try_from(y0.size()[0]).unwrap_or(0);
        let h = (t1 - t0) / self.steps as f64;
        let steps = if t1 == t0 || batch == 0 { 0 } else { self.steps };
        let mut states = Collector::new(times.len(), batch);
        let mut next = times.iter().take_while(|t| **t == t0).count();
        (0..next).for_each(|i| states.put_all(i, y0.shallow_clone()));
        let mut history = History::default();
        let mut y = y0.shallow_clone();
        let mut counts = Counts::default();
        for step in 0..steps {
            let t = t0 + h * step as f64;
            let before = y.shallow_clone();
            y = self.advance(field, t, h, &before, &mut history, &mut counts)?;
            let end = if step + 1 == steps { t1 } else { t0 + h * (step + 1) as f64 };
            while next < times.len() && (times[next] - end) * h.signum() <= 0.0 {
                let inside = if times[next] == end {
                    y.shallow_clone()
                } else {
                    history.integrate(&before, 1.0, (times[next] - t) / h, h)?
                };
                states.put_all(next, inside);
                next += 1;
            }
        }
        counts.accepted = steps as u64;
        let finite = host::to_vec(&flat_rows(&y.f_detach()?.f_isfinite()?)?.f_all_dim(1, false)?)?;
        let status = |ok: &f64| if *ok == 0.0 { Status::NonFinite } else { Status::Success };
        Ok(Solution {
            states: states.finish(y0)?,
            last: y,
            reached: vec![t1; batch],
            status: finite.iter().map(status).collect(),
            counts: vec![counts; batch],
            steps: steps as u64,
            events: Vec::new(),
        })
    }

    /// One step; afterwards `history` holds the slopes at the end and at `k − 1` places before.
    fn advance(
        &self,
        field: &dyn Field,
        t: f64,
        h: f64,
        y: &Tensor,
        history: &mut History,
        counts: &mut Counts,
    ) -> Result<Tensor> {
        let rate = |t: f64, y: &Tensor| {
            let (t, dt) = (Time::Shared(t), Time::Shared(h));
            Point { field, rows: &Rows::all(), t: &t, dt: &dt, y, slope: None }.rate(0.0, y)
        };
        if history.slopes.is_empty() {
            history.push(rate(t, y)?, self.order);
            counts.evaluations += 1;
        }
        if history.slopes.len() < self.order {
            let (start, dt) = (Time::Shared(t), Time::Shared(h));
            let slope = history.slopes.front();
            let point = Point { field, rows: &Rows::all(), t: &start, dt: &dt, y, slope };
            let step = crate::Explicit::new(tableau::DOP853).step(&point)?;
            history.push(rate(t + h, &step.y)?, self.order);
            counts.evaluations += step.evaluations + 1;
            return Ok(step.y);
        }
        let predicted = history.integrate(y, 0.0, 1.0, h)?;
        history.push(rate(t + h, &predicted)?, self.order);
        let corrected = history.integrate(y, 1.0, 1.0, h)?;
        history.slopes.pop_front();
        history.slopes.push_front(rate(t + h, &corrected)?);
        counts.evaluations += 2;
        Ok(corrected)
    }
}

/// The last slopes, the newest first.
#[derive(Debug, Default)]
struct History {
    slopes: VecDeque<Tensor>,
}

impl History {
    fn push(&mut self, slope: Tensor, keep: usize) {
        self.slopes.push_front(slope);
        self.slopes.truncate(keep);
    }

    /// `y + h ∫₀^θ p(s) ds`, where `p` goes through the slopes at `s = newest, newest − 1, …`.
    fn integrate(&self, y: &Tensor, newest: f64, theta: f64, h: f64) -> Result<Tensor> {
        let nodes: Vec<f64> = (0..self.slopes.len()).map(|j| newest - j as f64).collect();
        let weights: Vec<f64> = integrals(&nodes, theta).iter().map(|w| w * h).collect();
        let count = i64::try_from(nodes.len()).unwrap_or(0);
        let slopes: Vec<&Tensor> = self.slopes.iter().collect();
        let matrix = Tensor::f_stack(&slopes, 0)?.f_view([count, -1])?.f_transpose(0, 1)?;
        let sum = y.f_reshape([-1])?.f_addmv(&matrix, &numbers(&weights, y)?)?;
        Ok(sum.f_view(y.size().as_slice())?)
    }
}

/// `∫₀^θ ℓⱼ(s) ds` for the Lagrange polynomials of `nodes`.
fn integrals(nodes: &[f64], theta: f64) -> Vec<f64> {
    let basis = |j: usize| {
        let mut coefficients = vec![1.0];
        for (i, node) in nodes.iter().enumerate().filter(|(i, _)| *i != j) {
            let scale = 1.0 / (nodes[j] - nodes[i]);
            let mut product = vec![0.0; coefficients.len() + 1];
            for (power, c) in coefficients.iter().enumerate() {
                product[power + 1] += c * scale;
                product[power] -= c * scale * node;
            }
            coefficients = product;
        }
        let integral = coefficients.iter().enumerate().rev();
        integral.fold(0.0, |sum, (power, c)| (sum + c / (power + 1) as f64) * theta)
    };
    (0..nodes.len()).map(basis).collect()
}
