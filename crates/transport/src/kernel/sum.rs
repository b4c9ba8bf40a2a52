//! Sums over a row of squared distances.

use pulp::{Arch, Simd, WithSimd};

use super::exp::exp_f64;
use crate::real::Real;

/// What is summed over squared distances s.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Summand {
    /// exp(−γ s).
    Gaussian {
        /// γ.
        gamma: f64,
    },
    /// √s.
    Distance,
}

/// Σ over the first `count` entries of a row of squared distances, which is overwritten.
pub(crate) fn sum(arch: Arch, row: &mut [f64], count: usize, summand: Summand) -> f64 {
    arch.dispatch(Sum { row: &mut row[..count], summand })
}

struct Sum<'a> {
    row: &'a mut [f64],
    summand: Summand,
}

impl WithSimd for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        for s in &mut *self.row {
            *s = match self.summand {
                Summand::Gaussian { gamma } => exp_f64(-gamma * *s),
                Summand::Distance => s.root(),
            };
        }
        self.row.iter().sum()
    }
}
