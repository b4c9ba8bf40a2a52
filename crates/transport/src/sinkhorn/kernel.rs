//! Vector kernels of Sinkhorn's iteration.

use pulp::{Arch, Simd, WithSimd};

use crate::kernel::exp::exp_f64;
use crate::real::{Lanes, Real};

/// One row of the kernel matrix, normalised: K_j ∝ exp(weight_j − cost_j · inverse), Σ_j K_j = 1.
#[derive(Debug)]
pub(super) struct Normalise<'a, T> {
    /// Costs of the row.
    pub(super) cost: &'a [f64],
    /// g_j / ε + ln b_j; minus infinity for a target that takes no part.
    pub(super) weight: &'a [f64],
    /// 1 / ε.
    pub(super) inverse: f64,
    /// For exponents; minus infinity where there is no cost.
    pub(super) scratch: &'a mut [f64],
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
        let Self { cost, weight, inverse, scratch, out } = self;
        for (exponent, (cost, weight)) in scratch.iter_mut().zip(cost.iter().zip(weight)) {
            *exponent = cost.mul_add(-inverse, *weight);
        }
        let mut most = f64::splat(simd, f64::NEG_INFINITY);
        for &exponent in f64::regs::<S>(scratch) {
            most = <f64 as Lanes>::max(simd, most, exponent);
        }
        let most = -f64::reduce_min(simd, f64::minus(simd, f64::splat(simd, 0.0), most));
        for (out, &exponent) in out.iter_mut().zip(&*scratch) {
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

/// Rows of a sweep handled together, so that β and the sums are loaded this seldom.
pub(super) const ROWS: usize = 4;

/// One sweep over some rows K_i: s_i = Σ_j K_ij β_j, then α_i from s_i, then `sums += α_i K_i`.
/// Both halves of an iteration in one pass over the matrix.
pub(super) struct Sweep<'a, T, A> {
    /// The rows, one after the other.
    pub(super) kernel: &'a [T],
    /// β.
    pub(super) beta: &'a [T],
    /// Turns the sums s of [`ROWS`] rows, or of fewer at the end, into their α.
    pub(super) alpha: A,
    /// Σ_i α_i K_ij, added to.
    pub(super) sums: &'a mut [T],
}

/// What makes α of sums.
pub(super) trait Scaling<T> {
    /// Replaces the sums of the rows from `first` on by their α.
    fn scale(&mut self, first: usize, sums: &mut [T]);
}

impl<T: Real, A: Scaling<T>> Sweep<'_, T, A> {
    /// Sweeps, and gives back what made α.
    pub(super) fn run(self, arch: Arch) -> A {
        arch.dispatch(self)
    }
}

impl<T: Real, A: Scaling<T>> WithSimd for Sweep<'_, T, A> {
    type Output = A;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> A {
        let stride = self.beta.len();
        let beta = T::regs::<S>(self.beta);
        let sums = T::regs_mut::<S>(self.sums);
        let mut first = 0;
        let mut blocks = self.kernel.chunks_exact(ROWS * stride);
        for block in &mut blocks {
            sweep::<T, S, A, ROWS>(simd, block, beta, &mut self.alpha, first, sums);
            first += ROWS;
        }
        for row in blocks.remainder().chunks_exact(stride) {
            sweep::<T, S, A, 1>(simd, row, beta, &mut self.alpha, first, sums);
            first += 1;
        }
        self.alpha
    }
}

#[inline(always)]
fn sweep<T: Real, S: Simd, A: Scaling<T>, const R: usize>(
    simd: S,
    rows: &[T],
    beta: &[T::Reg<S>],
    alpha: &mut A,
    first: usize,
    sums: &mut [T::Reg<S>],
) {
    let rows = T::regs::<S>(rows);
    let mut row = [&rows[..0]; R];
    for r in 0..R {
        row[r] = &rows[r * beta.len()..(r + 1) * beta.len()];
    }
    // Two chains for each row hide the latency of the additions.
    let mut dots = [[T::splat(simd, T::ZERO); 2]; R];
    for (pair, beta) in beta.chunks_exact(2).enumerate() {
        for r in 0..R {
            for (half, dot) in dots[r].iter_mut().enumerate() {
                *dot = T::mul_add(simd, row[r][2 * pair + half], beta[half], *dot);
            }
        }
    }
    // Loops, not closures: what is not inlined into this function misses its instructions.
    let mut scales = [T::ZERO; R];
    for r in 0..R {
        scales[r] = T::reduce_sum(simd, T::plus(simd, dots[r][0], dots[r][1]));
    }
    alpha.scale(first, &mut scales);
    let mut factors = [T::splat(simd, T::ZERO); R];
    for r in 0..R {
        factors[r] = T::splat(simd, scales[r]);
    }
    for (column, sum) in sums.iter_mut().enumerate() {
        for r in 0..R {
            *sum = T::mul_add(simd, factors[r], row[r][column], *sum);
        }
    }
}

/// Adds one row of the plan to the sums of its columns: e_j = exp(offset + weight_j − cost_j · inverse),
/// scaled so that the row sums to `mass`.
pub(super) struct PlanRow<'a> {
    /// Costs of the row.
    pub(super) cost: &'a [f64],
    /// For e; zero where there is no cost.
    pub(super) scratch: &'a mut [f64],
    /// g_j / ε + ln b_j; minus infinity for a target that takes no part.
    pub(super) weight: &'a [f64],
    /// f_i / ε.
    pub(super) offset: f64,
    /// 1 / ε.
    pub(super) inverse: f64,
    /// a_i.
    pub(super) mass: f64,
    /// Added to.
    pub(super) sums: &'a mut [f64],
}

impl WithSimd for PlanRow<'_> {
    type Output = f64;

    /// Σ_j e_j before scaling.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { cost, scratch, weight, offset, inverse, mass, sums } = self;
        for (e, (cost, weight)) in scratch.iter_mut().zip(cost.iter().zip(weight)) {
            *e = exp_f64(cost.mul_add(-inverse, weight + offset));
        }
        let mut total = f64::splat(simd, 0.0);
        for &e in f64::regs::<S>(scratch) {
            total = f64::plus(simd, total, e);
        }
        let total = f64::reduce_sum(simd, total);
        let share = f64::splat(simd, mass / total);
        for (sum, &e) in f64::regs_mut::<S>(sums).iter_mut().zip(f64::regs::<S>(scratch)) {
            *sum = <f64 as Lanes>::mul_add(simd, share, e, *sum);
        }
        total
    }
}

/// out_j = exp((value_j − reference_j) · inverse).
pub(super) struct Exponentials<'a, T> {
    pub(super) value: &'a [f64],
    pub(super) reference: &'a [f64],
    pub(super) inverse: f64,
    pub(super) out: &'a mut [T],
}

impl<T: Real> WithSimd for Exponentials<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, (value, reference)) in
            self.out.iter_mut().zip(self.value.iter().zip(self.reference))
        {
            *out = T::from_f64((value - reference) * self.inverse).exp();
        }
    }
}
