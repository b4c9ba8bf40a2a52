//! A row of costs inside a kernel: stored, or computed on the way from points of few coordinates.

use pulp::Simd;

use crate::real::Lanes;

/// Costs of one row, a register at a time.
pub(crate) trait Line<T: Lanes>: Copy {
    /// The row, ready for registers of `S`.
    type Ready<S: Simd>: Copy;

    /// Splits into registers.
    fn ready<S: Simd>(self, simd: S) -> Self::Ready<S>;
    /// Register `k` of the row.
    fn at<S: Simd>(simd: S, ready: Self::Ready<S>, k: usize) -> T::Reg<S>;
}

impl<'a, T: Lanes> Line<T> for &'a [T] {
    type Ready<S: Simd> = &'a [T::Reg<S>];

    #[inline(always)]
    fn ready<S: Simd>(self, _: S) -> Self::Ready<S> {
        T::regs::<S>(self)
    }

    #[inline(always)]
    fn at<S: Simd>(_: S, ready: Self::Ready<S>, k: usize) -> T::Reg<S> {
        ready[k]
    }
}

/// |x − y|² or its root for one point x of `D` coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near<'a, T, const D: usize> {
    /// The point.
    pub(crate) x: [T; D],
    /// The other cloud, coordinate after coordinate.
    pub(crate) y: [&'a [T]; D],
    /// Whether to take the root.
    pub(crate) root: bool,
}

impl<'a, T: Lanes, const D: usize> Line<T> for Near<'a, T, D> {
    type Ready<S: Simd> = ([T::Reg<S>; D], [&'a [T::Reg<S>]; D], bool);

    #[inline(always)]
    fn ready<S: Simd>(self, simd: S) -> Self::Ready<S> {
        (self.x.map(|x| T::splat(simd, x)), self.y.map(|y| T::regs::<S>(y)), self.root)
    }

    #[inline(always)]
    fn at<S: Simd>(simd: S, (x, y, root): Self::Ready<S>, k: usize) -> T::Reg<S> {
        let mut sum = T::splat(simd, T::ZERO);
        for c in 0..D {
            let difference = T::minus(simd, x[c], y[c][k]);
            sum = T::mul_add(simd, difference, difference, sum);
        }
        if root { T::sqrt(simd, sum) } else { sum }
    }
}
