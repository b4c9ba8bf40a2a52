//! The kernel matrix of Sinkhorn's iteration, and the two halves of an iteration.

use rayon::prelude::*;

use super::kernel::{Exponentials, Normalise, Scaling, Sweep};
use super::marginals::{Duals, Marginals, Side};
use super::run::Problem;
use crate::buffer::{Aligned, padded, worth_a_thread};
use crate::kernel::exp::{exp_f64, ln_f64};
use crate::real::Real;

/// Rows of a task: a fixed number, so that sums do not depend on the number of threads.
const TASK: usize = 64;

/// K_ij = b_j exp((f̄_i + ḡ_j − c_ij) / ε) at reference potentials for which its rows sum to one:
/// between 0 and 1 however small ε is.
#[derive(Debug)]
pub(super) struct Kernel<T> {
    matrix: Aligned<T>,
    stride: usize,
    /// f̄.
    source: Vec<f64>,
    /// ḡ.
    target: Vec<f64>,
    /// exp((g − ḡ) / ε), padded by zeros.
    beta: Aligned<T>,
    /// α_i = a_i exp((f_i + τ − f̄_i) / ε) of the last iteration.
    alpha: Vec<T>,
    /// Σ_i α_i K_ij.
    sums: Vec<T>,
}

/// What an iteration would do to the target potentials.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) change: Vec<f64>,
    pub(super) shift: f64,
    pub(super) error: f64,
}

impl<T: Real> Kernel<T> {
    /// A kernel at the target potentials; the source potentials become those that fit them.
    pub(super) fn new(problem: &Problem<'_>, duals: &mut Duals, epsilon: f64) -> Self {
        let stride = padded(problem.target.len());
        let mut kernel = Self {
            matrix: Aligned::default(),
            stride,
            source: vec![0.0; problem.source.len()],
            target: Vec::new(),
            beta: Aligned::filled(stride, T::ZERO),
            alpha: vec![T::ZERO; problem.source.len()],
            sums: vec![T::ZERO; stride],
        };
        kernel.absorb(problem, duals, epsilon);
        kernel
    }

    /// The same kernel in another precision.
    pub(super) fn cast<U: Real>(&self) -> Kernel<U> {
        let mut matrix = Aligned::default();
        matrix.resize(self.matrix.len());
        let rows = self
            .matrix
            .par_chunks(TASK * self.stride)
            .zip(matrix.par_chunks_mut(TASK * self.stride));
        rows.with_min_len(worth_a_thread(TASK * self.stride)).for_each(|(from, to)| {
            from.iter().zip(to).for_each(|(from, to)| *to = U::from_f64(from.to_f64()));
        });
        Kernel {
            matrix,
            stride: self.stride,
            source: self.source.clone(),
            target: self.target.clone(),
            beta: Aligned::filled(self.stride, U::ZERO),
            alpha: self.alpha.iter().map(|alpha| U::from_f64(alpha.to_f64())).collect(),
            sums: vec![U::ZERO; self.stride],
        }
    }

    /// Rebuilds the kernel at the target potentials.
    pub(super) fn absorb(&mut self, problem: &Problem<'_>, duals: &mut Duals, epsilon: f64) {
        let (stride, targets) = (self.stride, problem.target.len());
        let mut weight = Aligned::filled(stride, f64::NEG_INFINITY);
        for (weight, (g, b)) in weight.iter_mut().zip(duals.target.iter().zip(problem.target)) {
            *weight = g / epsilon + b.ln();
        }
        self.target.clone_from(&duals.target);
        self.matrix.resize(problem.source.len() * stride);
        let inverse = epsilon.recip();
        let tasks = self
            .matrix
            .par_chunks_mut(TASK * stride)
            .zip(self.source.par_chunks_mut(TASK))
            .enumerate();
        // An exponential costs as much as a dozen other operations.
        tasks.with_min_len(worth_a_thread(12 * TASK * stride)).for_each(
            |(task, (matrix, source))| {
                let mut cost = Aligned::filled(stride, 0.0);
                for (k, (out, f)) in matrix.chunks_exact_mut(stride).zip(source).enumerate() {
                    problem.rows.copy(problem.arch, task * TASK + k, &mut cost);
                    cost[targets..].fill(0.0);
                    *f = -epsilon
                        * Normalise { cost: &mut cost, weight: &weight, inverse, out }
                            .run(problem.arch);
                }
            },
        );
        let sources = duals
            .source
            .iter_mut()
            .zip(&self.source)
            .zip(problem.source.iter().zip(&mut self.alpha));
        for ((potential, reference), (mass, alpha)) in sources {
            *potential =
                problem.marginals.potential(Side::Source, reference - duals.shift, epsilon);
            *alpha = T::from_f64(mass * ((*potential + duals.shift - reference) / epsilon).exp());
        }
    }

    /// Half an iteration: new source potentials, and the sums that the other half needs. Returns
    /// how far the sources' marginals were from what they should be.
    pub(super) fn update_sources(
        &mut self,
        problem: &Problem<'_>,
        duals: &mut Duals,
        epsilon: f64,
        factor: f64,
    ) -> f64 {
        let (stride, shift) = (self.stride, duals.shift);
        let targets = self.target.len();
        let out = &mut self.beta[..targets];
        let exponentials = Exponentials {
            value: &duals.target,
            reference: &self.target,
            inverse: epsilon.recip(),
            out,
        };
        problem.arch.dispatch(exponentials);
        let beta = &self.beta;
        let rows = self.matrix.par_chunks(TASK * stride).zip(duals.source.par_chunks_mut(TASK));
        let rows = rows.zip(self.source.par_chunks(TASK)).zip(problem.source.par_chunks(TASK));
        let rows = rows.zip(self.alpha.par_chunks_mut(TASK));
        let parts: Vec<(Aligned<T>, f64)> = rows
            .with_min_len(worth_a_thread(2 * TASK * stride))
            .map(|((((kernel, potential), reference), mass), alpha)| {
                let mut sums = Aligned::filled(stride, T::ZERO);
                let marginals = problem.marginals;
                let alpha = Sources {
                    marginals,
                    potential,
                    reference,
                    mass,
                    alpha,
                    shift,
                    epsilon,
                    factor,
                    error: 0.0,
                };
                let error = Sweep { kernel, beta, alpha, sums: &mut sums }.run(problem.arch).error;
                (sums, error)
            })
            .collect();
        self.sums.fill(T::ZERO);
        for (part, _) in &parts {
            self.sums.iter_mut().zip(&**part).for_each(|(sum, &part)| *sum += part);
        }
        parts.iter().map(|(_, error)| error).sum()
    }

    /// The other half, not done yet: by how much the target potentials would change, and how far
    /// the marginals are from what they should be.
    pub(super) fn target_step(&self, problem: &Problem<'_>, duals: &Duals, epsilon: f64) -> Step {
        let targets = duals.target.len();
        let mut step = Step { change: vec![0.0; targets], shift: 0.0, error: 0.0 };
        let mut total = 0.0;
        for (j, (&g, &b)) in duals.target.iter().zip(problem.target).enumerate() {
            if b == 0.0 {
                continue;
            }
            let sum = self.sums[j].to_f64();
            let mass = self.beta[j].to_f64() * sum;
            let reached = mass > T::TINY.to_f64() && mass.is_finite();
            // Where nothing arrives yet, to the digits of T: far targets at a small ε.
            let softmin = if reached {
                self.target[j] - epsilon * (sum / b).ln()
            } else {
                problem.softmin_of_target(j, duals, epsilon)
            };
            let change = problem.marginals.potential(Side::Target, softmin, epsilon) - g;
            let now = match problem.marginals {
                Marginals::Balanced => b,
                _ if reached => mass * (change / epsilon).exp(),
                _ => b,
            };
            step.error += if reached { (now - mass).abs() } else { now };
            total += now;
            step.change[j] = change;
        }
        if let Marginals::Partial { mass } = problem.marginals {
            step.shift = epsilon * (mass / total).ln();
            step.error += (total - mass).abs();
        }
        step
    }

    /// Whether a target potential has left the one that the kernel holds so far behind that sums
    /// could overflow.
    pub(super) fn is_behind(&self, duals: &Duals, epsilon: f64) -> bool {
        /// In ε.
        const DRIFT: f64 = 20.0;
        duals.target.iter().zip(&self.target).any(|(g, held)| (g - held).abs() > DRIFT * epsilon)
    }
}

/// New source potentials of some rows.
struct Sources<'a, T> {
    marginals: Marginals,
    potential: &'a mut [f64],
    reference: &'a [f64],
    mass: &'a [f64],
    alpha: &'a mut [T],
    shift: f64,
    epsilon: f64,
    factor: f64,
    /// How far the marginals were from what they should be.
    error: f64,
}

impl<T: Real> Scaling<T> for Sources<'_, T> {
    #[inline(always)]
    fn scale(&mut self, first: usize, sums: &mut [T]) {
        let Self { marginals, shift, epsilon, factor, .. } = *self;
        for (k, sum) in sums.iter_mut().enumerate() {
            let i = first + k;
            let softmin = self.reference[i] - epsilon * ln_f64(sum.to_f64()) - shift;
            let best = marginals.potential(Side::Source, softmin, epsilon);
            let alpha = if marginals == Marginals::Balanced && factor == 1.0 {
                self.potential[i] = best;
                self.mass[i] / sum.to_f64()
            } else {
                if factor != 1.0 {
                    self.error += (self.alpha[i].to_f64() * sum.to_f64() - self.mass[i]).abs();
                }
                self.potential[i] += factor * (best - self.potential[i]);
                self.mass[i] * exp_f64((self.potential[i] + shift - self.reference[i]) / epsilon)
            };
            self.alpha[i] = T::from_f64(alpha);
            *sum = self.alpha[i];
        }
    }
}
