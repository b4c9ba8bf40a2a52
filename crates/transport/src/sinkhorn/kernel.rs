//! Vector kernels of Sinkhorn's iteration.

use pulp::{Arch, Simd, WithSimd};

use crate::real::{Lanes, Real};

/// One row of the kernel matrix, normalised: K_j ∝ exp(weight_j − cost_j · inverse), Σ_j K_j = 1.
#[derive(Debug)]
pub(super) struct Normalise<'a, T> {
    /// Costs of the row; overwritten.
    pub(super) cost: &'a mut [f64],
    /// g_j / ε + ln b_j; minus infinity for a target that takes no part.
    pub(super) weight: &'a [f64],
    /// 1 / ε.
    pub(super) inverse: f64,
    /// The row of the kernel.
    pub(super) out: &'a mut [T],
}

impl<T: Real> Normalise<'_, T> {
    /// Fills the row and returns ln Σ_j exp(weight_j − cost_j · inverse).
    pub(super) fn run(self, arch: Arch) -> f64 {
        arch.dispatch(self)
    }
}

impl<T: Real> WithSimd for Normalise<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { cost, weight, inverse, out } = self;
        let negative = f64::splat(simd, -inverse);
        let mut most = f64::splat(simd, f64::NEG_INFINITY);
        for (cost, &weight) in f64::regs_mut::<S>(cost).iter_mut().zip(f64::regs::<S>(weight)) {
            *cost = <f64 as Lanes>::mul_add(simd, *cost, negative, weight);
            most = <f64 as Lanes>::max(simd, most, *cost);
        }
        let most = -f64::reduce_min(simd, f64::minus(simd, f64::splat(simd, 0.0), most));
        for (out, &exponent) in out.iter_mut().zip(&*cost) {
            *out = T::from_f64(exponent - most).exp();
        }
        let mut sum = T::splat(simd, T::ZERO);
        for &k in T::regs::<S>(out) {
            sum = T::plus(simd, sum, k);
        }
        let sum = T::reduce_sum(simd, sum);
        let share = T::splat(simd, T::ONE / sum);
        for k in T::regs_mut::<S>(out) {
            *k = T::times(simd, *k, share);
        }
        most + sum.to_f64().ln()
    }
}

/// One sweep over some rows K_i: s_i = Σ_j K_ij β_j, then α_i from s_i, then `sums += α_i K_i`.
/// Both halves of an iteration in one pass over the matrix.
pub(super) struct Sweep<'a, T, A> {
    /// The rows, one after the other.
    pub(super) kernel: &'a [T],
    /// β.
    pub(super) beta: &'a [T],
    /// α_i from the number of the row and s_i.
    pub(super) alpha: A,
    /// Σ_i α_i K_ij, added to.
    pub(super) sums: &'a mut [T],
}

impl<T: Real, A: FnMut(usize, T) -> T> Sweep<'_, T, A> {
    /// Sweeps.
    pub(super) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<T: Real, A: FnMut(usize, T) -> T> WithSimd for Sweep<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let zero = T::splat(simd, T::ZERO);
        for (i, row) in self.kernel.chunks_exact(self.beta.len()).enumerate() {
            let row = T::regs::<S>(row).chunks_exact(4);
            let mut dot = [zero; 4];
            for (row, beta) in row.clone().zip(T::regs::<S>(self.beta).chunks_exact(4)) {
                for k in 0..4 {
                    dot[k] = T::mul_add(simd, row[k], beta[k], dot[k]);
                }
            }
            let dot = T::plus(simd, T::plus(simd, dot[0], dot[1]), T::plus(simd, dot[2], dot[3]));
            let alpha = T::splat(simd, (self.alpha)(i, T::reduce_sum(simd, dot)));
            for (row, sums) in row.zip(T::regs_mut::<S>(self.sums).chunks_exact_mut(4)) {
                for k in 0..4 {
                    sums[k] = T::mul_add(simd, alpha, row[k], sums[k]);
                }
            }
        }
    }
}
