//! One step of Dijkstra's search over all columns: the inner loop of an augmentation.

use pulp::{Arch, Simd, WithSimd};

use super::line::Line;
use crate::real::Lanes;

/// Where the search stands after a row has been relaxed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frontier<T> {
    /// Smallest distance of the columns still open.
    pub(crate) distance: T,
    /// Its column.
    pub(crate) column: usize,
    /// Smallest distance of the columns without a partner.
    pub(crate) to_free: T,
}

/// A row to relax: `distance = min(distance, base + cost - price)`.
pub(crate) struct Relax<'a, T> {
    /// Prices of the columns; minus infinity closes a column.
    pub(crate) price: &'a [T],
    /// Distance of the row less its potential.
    pub(crate) base: T,
    /// The row's number, kept in `parent` where it improves a distance.
    pub(crate) row: T,
    /// Distances of the open columns; infinity for closed ones.
    pub(crate) distance: &'a mut [T],
    /// Row through which a distance was reached.
    pub(crate) parent: &'a mut [T],
    /// 0 for a column without a partner, infinity for the others.
    pub(crate) taken: &'a [T],
}

impl<T: Lanes> Relax<'_, T> {
    /// Relaxes the row of these costs.
    pub(crate) fn run<L: Line<T>>(self, arch: Arch, cost: L) -> Frontier<T> {
        arch.dispatch(RelaxRow { relax: self, cost })
    }
}

struct RelaxRow<'a, T, L> {
    relax: Relax<'a, T>,
    cost: L,
}

impl<T: Lanes, L: Line<T>> WithSimd for RelaxRow<'_, T, L> {
    type Output = Frontier<T>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Frontier<T> {
        let Relax { price, base, row, distance, parent, taken } = self.relax;
        let cost = self.cost.ready(simd);
        let infinity = T::splat(simd, T::INFINITY);
        let zero = T::splat(simd, T::ZERO);
        let one = T::splat(simd, T::ONE);
        let base = T::splat(simd, base);
        let row = T::splat(simd, row);
        let mut least = [infinity; 2];
        let mut free = [infinity; 2];
        let mut chunk_of = [zero; 2];
        let mut chunk = zero;
        let columns = T::regs::<S>(price)
            .chunks_exact(2)
            .zip(T::regs_mut::<S>(distance).chunks_exact_mut(2))
            .zip(T::regs_mut::<S>(parent).chunks_exact_mut(2))
            .zip(T::regs::<S>(taken).chunks_exact(2));
        for (number, (((price, distance), parent), taken)) in columns.enumerate() {
            for k in 0..2 {
                let cost = L::at(simd, cost, 2 * number + k);
                let reached = T::plus(simd, base, T::minus(simd, cost, price[k]));
                let shorter = T::less(simd, reached, distance[k]);
                let now = T::min(simd, distance[k], reached);
                parent[k] = T::select(simd, shorter, row, parent[k]);
                distance[k] = now;
                chunk_of[k] = T::select(simd, T::less(simd, now, least[k]), chunk, chunk_of[k]);
                least[k] = T::min(simd, least[k], now);
                free[k] = T::min(simd, free[k], T::plus(simd, now, taken[k]));
            }
            chunk = T::plus(simd, chunk, one);
        }
        let lanes = T::from_index(T::lanes::<S>());
        let iota = T::iota(simd);
        let stride = T::splat(simd, lanes + lanes);
        let even = T::mul_add(simd, chunk_of[0], stride, iota);
        let odd = T::mul_add(simd, chunk_of[1], stride, T::plus(simd, iota, T::splat(simd, lanes)));
        let distance = T::reduce_min(simd, T::min(simd, least[0], least[1]));
        let mark = T::splat(simd, distance);
        let column = T::reduce_min(
            simd,
            T::min(
                simd,
                T::select(simd, T::equal(simd, least[0], mark), even, infinity),
                T::select(simd, T::equal(simd, least[1], mark), odd, infinity),
            ),
        );
        let to_free = T::reduce_min(simd, T::min(simd, free[0], free[1]));
        Frontier { distance, column: column.index(), to_free }
    }
}
