//! From single to double precision in one pass or two over the costs.
//!
//! Near the solution the potentials miss by little, and what they miss solves a linear system to second order:
//! with the plan P of row sums a and the residual ρ = b − Pᵀ1, the step g ← g + ε δ with
//! (diag b − Pᵀ diag(1/a) P) δ = ρ, and f ← f − ε (P δ)/a. A solution to few digits is enough of a small
//! correction, so single precision solves it, by conjugate gradients; only ρ is computed in double precision.
//! This is the iterative refinement of numerical linear algebra (Wilkinson 1963) around Newton's step for
//! Sinkhorn (Brauer et al. 2017, arXiv:1710.06635).

use super::kernel::{PlanRow, Scaling, Sweep};
use super::marginals::Duals;
use super::matrix::{Kernel, TASK};
use super::run::{Limits, Outcome, Problem};
use crate::buffer::{Aligned, padded, run_tasks};

/// What part of a residual single precision cannot see: rounding of a kernel, of its products and sums.
const UNSEEN: f64 = 4e-6;

/// A solution of the linear system.
struct Correction {
    /// δ: the change of the target potentials, in ε.
    target: Vec<f64>,
    /// −(P δ)/a: the change of the source potentials, in ε.
    source: Vec<f64>,
    /// Σ_j |residual_j| of the system, what single precision cannot see included.
    error: f64,
    iterations: usize,
}

/// Refines balanced potentials, which `kernel` has brought near the solution, until the error is below the
/// tolerance. `None` where they are not near enough, or where it does not go on: the caller then iterates in
/// double precision from the potentials as they are now.
pub(super) fn refine(
    problem: &Problem<'_>,
    kernel: &mut Kernel<f32>,
    duals: &mut Duals,
    epsilon: f64,
    limits: Limits,
) -> Option<Outcome> {
    /// The largest error to start from, as a share of the mass.
    const NEAR: f64 = 1e-2;
    /// How far the sources' marginals may be from what they should be, as a share of the tolerance.
    const SOURCES: f64 = 0.1;
    /// Each pass must lower the error at least by this factor.
    const PROGRESS: f64 = 0.25;
    let mass: f64 = problem.source.iter().sum();
    let (mut iterations, mut before) = (0, NEAR * mass / PROGRESS);
    while iterations < limits.iterations {
        iterations += 1;
        let residual = residual(problem, duals, epsilon)?;
        let error: f64 = residual.iter().map(|r| r.abs()).sum();
        if error <= limits.tolerance {
            return Some(Outcome { iterations, error });
        }
        if error.is_nan() || error > PROGRESS * before {
            return None;
        }
        before = error;
        kernel.rescale(problem, duals, epsilon);
        let goal = Limits {
            tolerance: 0.3 * limits.tolerance,
            iterations: limits.iterations - iterations,
        };
        let correction = correct(problem, kernel, &residual, goal);
        iterations += correction.iterations;
        for (g, d) in duals.target.iter_mut().zip(&correction.target) {
            *g += epsilon * d;
        }
        for (f, d) in duals.source.iter_mut().zip(&correction.source) {
            *f += epsilon * d;
        }
        // The second order, Σ P_ij (exp(x_ij) − 1 − x_ij) with x_ij = δf_i + δg_j.
        let sides = [(&correction.source, problem.source), (&correction.target, problem.target)];
        let squares =
            sides.map(|(d, mass)| d.iter().zip(mass).map(|(d, m)| m * d * d).sum::<f64>());
        let most = sides.map(|(d, _)| d.iter().fold(0.0_f64, |most, d| most.max(d.abs())));
        let second = (most[0] + most[1]).exp() * (squares[0] + squares[1]);
        let error = correction.error + second;
        if error <= limits.tolerance && second <= SOURCES * limits.tolerance {
            return Some(Outcome { iterations, error });
        }
    }
    None
}

/// b − Pᵀ1 after half an iteration that makes P 1 = a, from the costs, in double precision. `None` where a row of
/// the plan vanishes or overflows.
fn residual(problem: &Problem<'_>, duals: &mut Duals, epsilon: f64) -> Option<Vec<f64>> {
    let targets = problem.target.len();
    let stride = padded(targets);
    let inverse = epsilon.recip();
    let mut weight = Aligned::filled(stride, f64::NEG_INFINITY);
    for (weight, (g, b)) in weight.iter_mut().zip(duals.target.iter().zip(problem.target)) {
        *weight = g * inverse + b.ln();
    }
    let rows = duals.source.chunks_mut(TASK).zip(problem.source.chunks(TASK)).enumerate();
    let run = |(task, (potentials, masses)): (usize, (&mut [f64], &[f64]))| {
        let mut costs = Aligned::filled(stride, 0.0);
        let mut scratch = Aligned::filled(stride, 0.0);
        let mut sums = Aligned::filled(stride, 0.0);
        for (k, (f, &mass)) in potentials.iter_mut().zip(masses).enumerate() {
            let cost = problem.rows.costs(problem.arch, task * TASK + k, &mut costs);
            let row = PlanRow {
                cost: &cost[..targets],
                scratch: &mut scratch,
                weight: &weight,
                offset: *f * inverse,
                inverse,
                mass,
                sums: &mut sums,
            };
            let total = problem.arch.dispatch(row);
            if !(total > f64::MIN_POSITIVE && total.is_finite()) {
                return None;
            }
            *f -= epsilon * total.ln();
        }
        Some(sums)
    };
    // An exponential costs as much as a dozen other operations.
    let parts: Option<Vec<Aligned<f64>>> =
        run_tasks(rows.collect(), 14 * TASK * stride, run).into_iter().collect();
    let mut residual = problem.target.to_vec();
    for part in parts? {
        residual.iter_mut().zip(&*part).for_each(|(r, sum)| *r -= sum);
    }
    Some(residual)
}

/// Conjugate gradients on (diag b − Pᵀ diag(1/a) P) δ = `residual`, preconditioned by diag b, until the sum of what
/// is left is below the tolerance.
fn correct(
    problem: &Problem<'_>,
    kernel: &Kernel<f32>,
    residual: &[f64],
    limits: Limits,
) -> Correction {
    /// Iterations at most: what takes more is beyond single precision.
    const MOST: usize = 60;
    let masses = problem.target;
    let mut rest = residual.to_vec();
    let mut target = vec![0.0; rest.len()];
    let mut source = vec![0.0; problem.source.len()];
    let mut direction = vec![0.0; rest.len()];
    let (mut square, mut iterations) = (0.0, 0);
    let (mut error, mut least) = (f64::INFINITY, f64::INFINITY);
    // Below a tenth of what it cannot see, single precision only goes astray.
    let floor =
        |target: &[f64]| UNSEEN * target.iter().zip(masses).map(|(d, b)| b * d.abs()).sum::<f64>();
    while iterations < limits.iterations.min(MOST) {
        let inner = |r: &[f64]| -> f64 {
            r.iter().zip(masses).filter(|(_, b)| **b > 0.0).map(|(r, b)| r * r / b).sum()
        };
        let now = inner(&rest);
        let part = if square > 0.0 { now / square } else { 0.0 };
        square = now;
        for (p, (r, b)) in direction.iter_mut().zip(rest.iter().zip(masses)) {
            *p = if *b > 0.0 { r / b } else { 0.0 } + part * *p;
        }
        let (rows, columns) = kernel.apply_plan(problem, &direction);
        iterations += 1;
        // S p = b p − Pᵀ diag(1/a) P p.
        let image: Vec<f64> = (direction.iter().zip(masses).zip(&columns))
            .map(|((p, b), column)| b * p - column)
            .collect();
        let curvature: f64 = direction.iter().zip(&image).map(|(p, s)| p * s).sum();
        if curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        let step = square / curvature;
        target.iter_mut().zip(&direction).for_each(|(d, p)| *d += step * p);
        source.iter_mut().zip(&rows).for_each(|(d, row)| *d -= step * row);
        rest.iter_mut().zip(&image).for_each(|(r, s)| *r -= step * s);
        let left: f64 = rest.iter().map(|r| r.abs()).sum();
        error = left + floor(&target);
        if left <= limits.tolerance || left <= 0.1 * floor(&target) || left > 10.0 * least {
            break;
        }
        least = least.min(left);
    }
    Correction { target, source, error, iterations }
}

/// How single precision applies P: α_i'= (α_i²/a_i) s_i, and keeps s_i α_i/a_i.
pub(super) struct Plan<'a> {
    pub(super) alpha: &'a [f32],
    pub(super) mass: &'a [f64],
    /// (P p)_i / a_i.
    pub(super) rows: &'a mut [f64],
}

impl Scaling<f32> for Plan<'_> {
    #[inline(always)]
    fn scale(&mut self, first: usize, sums: &mut [f32]) {
        for (k, sum) in sums.iter_mut().enumerate() {
            let i = first + k;
            let (alpha, mass) = (f64::from(self.alpha[i]), self.mass[i]);
            let row = if mass > 0.0 { alpha * f64::from(*sum) / mass } else { 0.0 };
            self.rows[i] = row;
            *sum = (alpha * row) as f32;
        }
    }
}

impl Kernel<f32> {
    /// P p divided by a, and Pᵀ of that, for P = diag α K diag β.
    fn apply_plan(&self, problem: &Problem<'_>, p: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let stride = self.stride();
        let mut scaled = Aligned::filled(stride, 0.0_f32);
        for (out, (p, beta)) in scaled.iter_mut().zip(p.iter().zip(self.beta())) {
            *out = (p * f64::from(*beta)) as f32;
        }
        let mut rows = vec![0.0; problem.source.len()];
        let tasks = self.matrix().chunks(TASK * stride).zip(rows.chunks_mut(TASK));
        let tasks = tasks.zip(self.alpha().chunks(TASK)).zip(problem.source.chunks(TASK));
        let sweep = |(((kernel, rows), alpha), mass): Task<'_>| {
            let mut sums = Aligned::filled(stride, 0.0_f32);
            let alpha = Plan { alpha, mass, rows };
            Sweep { kernel, beta: &scaled, alpha, sums: &mut sums }.run(problem.arch);
            sums
        };
        let parts = run_tasks(tasks.collect(), 2 * TASK * stride, sweep);
        let mut columns = vec![0.0; p.len()];
        for part in &parts {
            columns.iter_mut().zip(&**part).for_each(|(sum, &part)| *sum += f64::from(part));
        }
        for (column, beta) in columns.iter_mut().zip(self.beta()) {
            *column *= f64::from(*beta);
        }
        (rows, columns)
    }
}

/// Some rows: kernel, results, α, masses.
type Task<'a> = (((&'a [f32], &'a mut [f64]), &'a [f32]), &'a [f64]);
