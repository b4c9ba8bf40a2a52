//! The squared distance of one pair of points.

use pulp::{Arch, Simd, WithSimd};

use crate::real::Lanes;

/// |x − y|².
pub(crate) fn squared<T: Lanes>(arch: Arch, x: &[T], y: &[T]) -> T {
    arch.dispatch(Squared { x, y })
}

struct Squared<'a, T> {
    x: &'a [T],
    y: &'a [T],
}

impl<T: Lanes> WithSimd for Squared<'_, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> T {
        let lanes = T::lanes::<S>();
        let whole = self.x.len() / lanes * lanes;
        let (x, x_tail) = self.x.split_at(whole);
        let (y, y_tail) = self.y.split_at(whole);
        let mut sum = T::splat(simd, T::ZERO);
        for (&x, &y) in T::regs::<S>(x).iter().zip(T::regs::<S>(y)) {
            let difference = T::minus(simd, x, y);
            sum = T::mul_add(simd, difference, difference, sum);
        }
        let tail = x_tail.iter().zip(y_tail).map(|(&x, &y)| (x - y) * (x - y));
        tail.fold(T::reduce_sum(simd, sum), |sum, square| sum + square)
    }
}
