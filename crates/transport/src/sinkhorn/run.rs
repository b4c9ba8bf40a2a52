//! Sinkhorn's iteration for one ε and one precision.

use pulp::Arch;
use rayon::prelude::*;

use super::kernel::{Normalise, Sweep};
use super::marginals::{Duals, Marginals, Side};
use super::relaxation::Relaxation;
use crate::buffer::{Aligned, padded, worth_a_thread};
use crate::geometry::Rows;
use crate::real::Real;

/// A problem as the iteration reads it.
#[derive(Debug)]
pub(super) struct Problem<'a> {
    pub(super) arch: Arch,
    pub(super) rows: Rows<'a, f64>,
    pub(super) source: &'a [f64],
    pub(super) target: &'a [f64],
    pub(super) marginals: Marginals,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) tolerance: f64,
    pub(super) iterations: usize,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) iterations: usize,
    /// Σ_j |marginal_j − what it should be|; the sources' marginals are what they should be.
    pub(super) error: f64,
}

/// Rows of a task: a fixed number, so that sums do not depend on the number of threads.
const TASK: usize = 64;

impl Problem<'_> {
    /// Iterates from `duals` until the error or the number of iterations reaches its limit.
    pub(super) fn run<T: Real>(&self, duals: &mut Duals, epsilon: f64, limits: Limits) -> Outcome {
        /// The kernel is rebuilt when a potential has drifted this many ε from what it holds.
        const DRIFT: f64 = 20.0;
        let mut kernel = Kernel::<T>::absorb(self, duals, epsilon);
        let mut relaxation = Relaxation::new(self.marginals);
        let mut outcome = Outcome { iterations: 0, error: f64::INFINITY };
        while outcome.iterations < limits.iterations {
            outcome.iterations += 1;
            let factor = relaxation.factor();
            let before = kernel.update_sources(self, duals, epsilon, factor);
            let step = kernel.target_step(self, duals, epsilon);
            // A plain step has met the sources' marginals. Of what a longer one leaves on both sides,
            // most would be gone after a plain one.
            outcome.error = if factor == 1.0 {
                step.error
            } else {
                (step.error + before) * (1.0 - factor / 2.0)
            };
            let small = outcome.error <= limits.tolerance;
            if small && factor == 1.0 {
                break;
            }
            relaxation.observe(outcome.error, small);
            for (g, change) in duals.target.iter_mut().zip(&step.change) {
                *g += factor * change;
            }
            duals.shift += step.shift;
            if kernel.drift(duals, epsilon) > DRIFT {
                kernel = Kernel::absorb(self, duals, epsilon);
            }
        }
        outcome
    }

    /// −ε ln Σ_i a_i exp((f_i + τ − c_ij) / ε), without a kernel.
    fn softmin_of_target(&self, target: usize, duals: &Duals, epsilon: f64) -> f64 {
        let pairs = self.source.iter().zip(&duals.source).enumerate();
        let exponents: Vec<f64> = pairs
            .map(|(i, (a, f))| a.ln() + (f + duals.shift - self.rows.at(i, target)) / epsilon)
            .collect();
        let most = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        -epsilon * (most + exponents.iter().map(|e| (e - most).exp()).sum::<f64>().ln())
    }
}

/// K_ij = b_j exp((f̄_i + ḡ_j − c_ij) / ε) at reference potentials for which its rows sum to one:
/// between 0 and 1 however small ε is.
#[derive(Debug)]
struct Kernel<T> {
    matrix: Aligned<T>,
    stride: usize,
    /// f̄.
    source: Vec<f64>,
    /// ḡ.
    target: Vec<f64>,
    /// exp((g − ḡ) / ε), padded by zeros.
    beta: Aligned<T>,
    /// Σ_i a_i exp((f_i + τ − f̄_i) / ε) K_ij.
    sums: Vec<T>,
}

/// What an iteration would do to the target potentials.
#[derive(Debug)]
struct Step {
    change: Vec<f64>,
    shift: f64,
    error: f64,
}

impl<T: Real> Kernel<T> {
    /// Rebuilds the kernel at the target potentials, and takes the source potentials that fit them.
    fn absorb(problem: &Problem<'_>, duals: &mut Duals, epsilon: f64) -> Self {
        let (sources, targets) = (problem.source.len(), problem.target.len());
        let stride = padded(targets);
        let mut weight = Aligned::filled(stride, f64::NEG_INFINITY);
        for (weight, (g, b)) in weight.iter_mut().zip(duals.target.iter().zip(problem.target)) {
            *weight = g / epsilon + b.ln();
        }
        let mut matrix = Aligned::filled(sources * stride, T::ZERO);
        let mut source = vec![0.0; sources];
        let inverse = epsilon.recip();
        let tasks =
            matrix.par_chunks_mut(TASK * stride).zip(source.par_chunks_mut(TASK)).enumerate();
        // An exponential costs as much as a dozen other operations.
        let share = worth_a_thread(12 * TASK * stride);
        tasks.with_min_len(share).for_each(|(task, (matrix, source))| {
            let mut cost = Aligned::filled(stride, 0.0);
            for (k, (out, f)) in matrix.chunks_exact_mut(stride).zip(source).enumerate() {
                problem.rows.copy(problem.arch, task * TASK + k, &mut cost);
                cost[targets..].fill(0.0);
                *f = -epsilon
                    * Normalise { cost: &mut cost, weight: &weight, inverse, out }
                        .run(problem.arch);
            }
        });
        for (potential, softmin) in duals.source.iter_mut().zip(&source) {
            *potential = problem.marginals.potential(Side::Source, softmin - duals.shift, epsilon);
        }
        let beta = Aligned::filled(stride, T::ZERO);
        Self { matrix, stride, source, target: duals.target.clone(), beta, sums: Vec::new() }
    }

    /// Half an iteration: new source potentials, and the sums that the other half needs. Returns
    /// how far the sources' marginals were from what they should be.
    fn update_sources(
        &mut self,
        problem: &Problem<'_>,
        duals: &mut Duals,
        epsilon: f64,
        factor: f64,
    ) -> f64 {
        for (beta, (g, reference)) in
            self.beta.iter_mut().zip(duals.target.iter().zip(&self.target))
        {
            *beta = T::from_f64((g - reference) / epsilon).exp();
        }
        let (stride, shift, beta) = (self.stride, duals.shift, &self.beta);
        let rows = self.matrix.par_chunks(TASK * stride).zip(duals.source.par_chunks_mut(TASK));
        let rows = rows.zip(self.source.par_chunks(TASK)).zip(problem.source.par_chunks(TASK));
        let parts: Vec<(Aligned<T>, f64)> = rows
            .with_min_len(worth_a_thread(2 * TASK * stride))
            .map(|(((kernel, potential), reference), mass)| {
                let mut sums = Aligned::filled(stride, T::ZERO);
                let mut error = 0.0;
                let alpha = |i: usize, sum: T| {
                    let softmin = reference[i] - epsilon * sum.to_f64().ln() - shift;
                    let best = problem.marginals.potential(Side::Source, softmin, epsilon);
                    if factor != 1.0 {
                        error += mass[i] * (((potential[i] - best) / epsilon).exp() - 1.0).abs();
                    }
                    potential[i] += factor * (best - potential[i]);
                    T::from_f64(mass[i] * ((potential[i] + shift - reference[i]) / epsilon).exp())
                };
                Sweep { kernel, beta, alpha, sums: &mut sums }.run(problem.arch);
                (sums, error)
            })
            .collect();
        self.sums.clear();
        self.sums.resize(stride, T::ZERO);
        for (part, _) in &parts {
            self.sums.iter_mut().zip(&**part).for_each(|(sum, &part)| *sum += part);
        }
        parts.iter().map(|(_, error)| error).sum()
    }

    /// The other half, not done yet: by how much the target potentials would change, and how far
    /// the marginals are from what they should be.
    fn target_step(&self, problem: &Problem<'_>, duals: &Duals, epsilon: f64) -> Step {
        let mut step =
            Step { change: Vec::with_capacity(duals.target.len()), shift: 0.0, error: 0.0 };
        let mut total = 0.0;
        for (j, (&g, &b)) in duals.target.iter().zip(problem.target).enumerate() {
            if b == 0.0 {
                step.change.push(0.0);
                continue;
            }
            let sum = self.sums[j].to_f64();
            let mass = self.beta[j].to_f64() * sum;
            if mass > T::TINY.to_f64() && mass.is_finite() {
                let softmin = self.target[j] - epsilon * (sum / b).ln();
                let change = problem.marginals.potential(Side::Target, softmin, epsilon) - g;
                let now = mass * (change / epsilon).exp();
                step.error += (now - mass).abs();
                total += now;
                step.change.push(change);
                continue;
            }
            // Nothing arrives here yet, to the digits of T: far targets at a small ε.
            let softmin = problem.softmin_of_target(j, duals, epsilon);
            let change = problem.marginals.potential(Side::Target, softmin, epsilon) - g;
            step.error += b;
            total += b;
            step.change.push(change);
        }
        if let Marginals::Partial { mass } = problem.marginals {
            step.shift = epsilon * (mass / total).ln();
            step.error += (total - mass).abs();
        }
        step
    }

    /// Largest distance of a potential from the one that the kernel holds, in ε.
    fn drift(&self, duals: &Duals, epsilon: f64) -> f64 {
        let pairs = duals.target.iter().zip(&self.target);
        pairs.fold(0.0, |most: f64, (g, held)| most.max((g - held).abs())) / epsilon
    }
}
