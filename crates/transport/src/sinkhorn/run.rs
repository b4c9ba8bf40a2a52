//! Sinkhorn's iteration for one ε.

use pulp::Arch;

use super::anderson::Anderson;
use super::marginals::{Duals, Marginals};
use super::matrix::Kernel;
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

impl Problem<'_> {
    /// Iterates from `duals` until the error or the number of iterations reaches its limit. The
    /// kernel is rebuilt where the potentials have left it behind.
    pub(super) fn run<T: Real>(
        &self,
        kernel: &mut Kernel<T>,
        duals: &mut Duals,
        epsilon: f64,
        limits: Limits,
    ) -> Outcome {
        let mut mixing = Anderson::new(self.marginals);
        let mut outcome = Outcome { iterations: 0, error: f64::INFINITY };
        while outcome.iterations < limits.iterations {
            outcome.iterations += 1;
            kernel.update_sources(self, duals, epsilon);
            let step = kernel.target_step(self, duals, epsilon);
            outcome.error = step.error;
            if outcome.error <= limits.tolerance {
                break;
            }
            mixing.advance(&mut duals.target, step.change, self.target, step.error);
            duals.shift += step.shift;
            if kernel.is_behind(duals, epsilon) {
                kernel.absorb(self, duals, epsilon);
            }
        }
        outcome
    }

    /// −ε ln Σ_i a_i exp((f_i + τ − c_ij) / ε), without a kernel.
    pub(super) fn softmin_of_target(&self, target: usize, duals: &Duals, epsilon: f64) -> f64 {
        let pairs = self.source.iter().zip(&duals.source).enumerate();
        let exponents: Vec<f64> = pairs
            .map(|(i, (a, f))| a.ln() + (f + duals.shift - self.rows.at(i, target)) / epsilon)
            .collect();
        let most = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        -epsilon * (most + exponents.iter().map(|e| (e - most).exp()).sum::<f64>().ln())
    }
}
