//! The kernel matrix of Sinkhorn's iteration, and the two halves of an iteration.

use super::kernel::{Exponentials, Normalise, Scaling, Sweep};
use super::marginals::{Duals, Marginals, Side};
use super::run::Problem;
use crate::buffer::{Aligned, padded, run_tasks};
use crate::kernel::exp::{exp_f64, ln_f64};
use crate::real::Real;

/// Rows of a task: a fixed number, so that sums do not depend on the number of threads.
pub(super) const TASK: usize = 64;

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
        let rows = self.matrix.chunks_mut(TASK * stride).zip(self.source.chunks_mut(TASK));
        // An exponential costs as much as a dozen other operations.
        run_tasks(rows.enumerate().collect(), 12 * TASK * stride, |(task, (matrix, source))| {
            let mut costs = Aligned::filled(stride, 0.0);
            let mut scratch = Aligned::filled(stride, f64::NEG_INFINITY);
            for (k, (out, f)) in matrix.chunks_exact_mut(stride).zip(source).enumerate() {
                let cost = problem.rows.costs(problem.arch, task * TASK + k, &mut costs);
                let (cost, weight, scratch) = (&cost[..targets], &*weight, &mut *scratch);
                *f = -epsilon * Normalise { cost, weight, inverse, scratch, out }.run(problem.arch);
            }
        });
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

    /// β of the target potentials.
    fn scale_targets(&mut self, problem: &Problem<'_>, duals: &Duals, epsilon: f64) {
        let out = &mut self.beta[..self.target.len()];
        problem.arch.dispatch(Exponentials {
            value: &duals.target,
            reference: &self.target,
            inverse: epsilon.recip(),
            out,
        });
    }

    /// α and β of the potentials as they are.
    pub(super) fn rescale(&mut self, problem: &Problem<'_>, duals: &Duals, epsilon: f64) {
        self.scale_targets(problem, duals, epsilon);
        let potentials = duals.source.iter().zip(&self.source);
        for (alpha, ((f, held), a)) in self.alpha.iter_mut().zip(potentials.zip(problem.source)) {
            *alpha = T::from_f64(a * ((f + duals.shift - held) / epsilon).exp());
        }
    }

    /// Rows of K, each padded to `stride` entries.
    pub(super) fn matrix(&self) -> &[T] {
        &self.matrix
    }

    /// Padded length of a row.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// exp((g − ḡ) / ε), padded by zeros.
    pub(super) fn beta(&self) -> &[T] {
        &self.beta
    }

    /// a exp((f + τ − f̄) / ε).
    pub(super) fn alpha(&self) -> &[T] {
        &self.alpha
    }

    /// Half an iteration: new source potentials, and the sums that the other half needs.
    pub(super) fn update_sources(
        &mut self,
        problem: &Problem<'_>,
        duals: &mut Duals,
        epsilon: f64,
    ) {
        let (stride, shift) = (self.stride, duals.shift);
        self.scale_targets(problem, duals, epsilon);
        let beta = &self.beta;
        let rows = self.matrix.chunks(TASK * stride).zip(duals.source.chunks_mut(TASK));
        let rows = rows.zip(self.source.chunks(TASK)).zip(problem.source.chunks(TASK));
        let rows = rows.zip(self.alpha.chunks_mut(TASK)).collect();
        let sweep = |((((kernel, potential), reference), mass), alpha): Rows<'_, T>| {
            let mut sums = Aligned::filled(stride, T::ZERO);
            let marginals = problem.marginals;
            let alpha = Sources { marginals, potential, reference, mass, alpha, shift, epsilon };
            Sweep { kernel, beta, alpha, sums: &mut sums }.run(problem.arch);
            sums
        };
        let parts: Vec<Aligned<T>> = run_tasks(rows, 2 * TASK * stride, sweep);
        self.sums.fill(T::ZERO);
        for part in &parts {
            self.sums.iter_mut().zip(&**part).for_each(|(sum, &part)| *sum += part);
        }
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

/// Some rows: kernel, potentials, references, masses, α.
type Rows<'a, T> = ((((&'a [T], &'a mut [f64]), &'a [f64]), &'a [f64]), &'a mut [T]);

/// New source potentials of some rows.
struct Sources<'a, T> {
    marginals: Marginals,
    potential: &'a mut [f64],
    reference: &'a [f64],
    mass: &'a [f64],
    alpha: &'a mut [T],
    shift: f64,
    epsilon: f64,
}

impl<T: Real> Scaling<T> for Sources<'_, T> {
    #[inline(always)]
    fn scale(&mut self, first: usize, sums: &mut [T]) {
        let Self { marginals, shift, epsilon, .. } = *self;
        for (k, sum) in sums.iter_mut().enumerate() {
            let i = first + k;
            let softmin = self.reference[i] - epsilon * ln_f64(sum.to_f64()) - shift;
            self.potential[i] = marginals.potential(Side::Source, softmin, epsilon);
            let alpha = if marginals == Marginals::Balanced {
                self.mass[i] / sum.to_f64()
            } else {
                self.mass[i] * exp_f64((self.potential[i] + shift - self.reference[i]) / epsilon)
            };
            self.alpha[i] = T::from_f64(alpha);
            *sum = self.alpha[i];
        }
    }
}
