//! The two cheapest columns of a row under prices: the inner loop of an auction.

use pulp::{Arch, Simd, WithSimd};

use super::line::Line;
use crate::real::Lanes;

/// Cheapest and second cheapest column of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Best<T> {
    /// Smallest reduced cost.
    pub(crate) first: T,
    /// Its column; the lowest of those that tie.
    pub(crate) column: usize,
    /// Smallest reduced cost of the other columns; equal to `first` on a tie.
    pub(crate) second: T,
}

/// The two smallest entries of `cost - price`.
pub(crate) fn best_two<T: Lanes, L: Line<T>>(arch: Arch, cost: L, price: &[T]) -> Best<T> {
    arch.dispatch(BestTwo { cost, price })
}

struct BestTwo<'a, T, L> {
    cost: L,
    price: &'a [T],
}

impl<T: Lanes, L: Line<T>> WithSimd for BestTwo<'_, T, L> {
    type Output = Best<T>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Best<T> {
        let infinity = T::splat(simd, T::INFINITY);
        let zero = T::splat(simd, T::ZERO);
        let one = T::splat(simd, T::ONE);
        // Two independent chains hide the latency of compare and select.
        let mut first = [infinity; 2];
        let mut second = [infinity; 2];
        let mut chunk_of = [zero; 2];
        let mut chunk = zero;
        let cost = self.cost.ready(simd);
        for (number, price) in T::regs::<S>(self.price).chunks_exact(2).enumerate() {
            for k in 0..2 {
                let value = T::minus(simd, L::at(simd, cost, 2 * number + k), price[k]);
                let better = T::less(simd, value, first[k]);
                second[k] = T::min(simd, second[k], T::max(simd, first[k], value));
                first[k] = T::min(simd, first[k], value);
                chunk_of[k] = T::select(simd, better, chunk, chunk_of[k]);
            }
            chunk = T::plus(simd, chunk, one);
        }
        // Lane numbers become column numbers; then one minimum over lanes gives the lowest column.
        let lanes = T::from_index(T::lanes::<S>());
        let iota = T::iota(simd);
        let stride = T::splat(simd, lanes + lanes);
        let column = [
            T::mul_add(simd, chunk_of[0], stride, iota),
            T::mul_add(simd, chunk_of[1], stride, T::plus(simd, iota, T::splat(simd, lanes))),
        ];
        let least = T::reduce_min(simd, T::min(simd, first[0], first[1]));
        let reg = T::splat(simd, least);
        let tied = |k: usize| T::select(simd, T::equal(simd, first[k], reg), column[k], infinity);
        let winner = T::reduce_min(simd, T::min(simd, tied(0), tied(1)));
        let mark = T::splat(simd, winner);
        let rest = |k: usize| T::select(simd, T::equal(simd, column[k], mark), second[k], first[k]);
        let runner_up = T::reduce_min(simd, T::min(simd, rest(0), rest(1)));
        Best { first: least, column: winner.index(), second: runner_up }
    }
}
