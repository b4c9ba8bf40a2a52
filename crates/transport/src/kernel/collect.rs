//! Columns of a row whose reduced cost is at most a threshold, and column minima.

use pulp::{Arch, Simd, WithSimd};

use crate::buffer::PAD;
use crate::real::Lanes;

/// Appends the columns with `cost - price <= threshold` to `found`.
pub(crate) fn collect<T: Lanes>(
    arch: Arch,
    cost: &[T],
    price: &[T],
    threshold: T,
    found: &mut Vec<u32>,
) {
    arch.dispatch(Collect { cost, price, threshold, found });
}

struct Collect<'a, T> {
    cost: &'a [T],
    price: &'a [T],
    threshold: T,
    found: &'a mut Vec<u32>,
}

impl<T: Lanes> WithSimd for Collect<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let regs = PAD / T::lanes::<S>();
        let near = T::splat(simd, self.threshold);
        let zero = T::splat(simd, T::ZERO);
        let one = T::splat(simd, T::ONE);
        let costs = T::regs::<S>(self.cost).chunks_exact(regs);
        let prices = T::regs::<S>(self.price).chunks_exact(regs);
        for (number, (cost, price)) in costs.zip(prices).enumerate() {
            let mut misses = one;
            for (&cost, &price) in cost.iter().zip(price) {
                let above = T::less(simd, near, T::minus(simd, cost, price));
                misses = T::select(simd, above, misses, zero);
            }
            if T::reduce_min(simd, misses) > T::ZERO {
                continue;
            }
            let range = number * PAD..(number + 1) * PAD;
            for (j, (&cost, &price)) in
                range.clone().zip(self.cost[range.clone()].iter().zip(&self.price[range]))
            {
                if cost - price <= self.threshold {
                    self.found.push(j as u32);
                }
            }
        }
    }
}

/// `least = min(least, row)`.
pub(crate) fn lower<T: Lanes>(arch: Arch, row: &[T], least: &mut [T]) {
    arch.dispatch(Lower { row, least });
}

struct Lower<'a, T> {
    row: &'a [T],
    least: &'a mut [T],
}

impl<T: Lanes> WithSimd for Lower<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let row = T::regs::<S>(self.row);
        for (least, &row) in T::regs_mut::<S>(self.least).iter_mut().zip(row) {
            *least = T::min(simd, *least, row);
        }
    }
}
