//! Distances of a few points to all points of a cloud, by differences: nothing cancels.

use pulp::{Arch, Simd, WithSimd};

use crate::buffer::{Aligned, PAD, padded};
use crate::real::Lanes;

/// Points handled together, so that each load of the other cloud is used this often.
const BLOCK: usize = 4;

/// Squares summed in one run; runs are summed in turn, so that the rounding of a sum of d squares
/// stays below `rounding(d)` half units in the last place.
const RUN: usize = 32;

/// Bound on the rounding of a sum of squared differences, in half units in its last place.
pub(crate) fn rounding(dimension: usize) -> f64 {
    // A difference errs by one of them, its square by three, each addition by one more.
    (dimension.min(RUN) + dimension.div_ceil(RUN) + 4) as f64
}

/// Up to this many coordinates, costs are computed on the way instead of being stored.
pub(crate) const FEW: usize = 4;

/// A cloud as the kernels read it: panels of [`PAD`] points, each coordinate after coordinate, so
/// that a panel stays in the nearest cache while many points pass by; for few coordinates, one
/// panel of all points.
#[derive(Debug)]
pub(crate) struct Panels<T> {
    data: Aligned<T>,
    dimension: usize,
    stride: usize,
    /// Points of a panel.
    width: usize,
}

impl<T: Lanes> Panels<T> {
    /// `points` of `dimension` coordinates, padded by zeros; `at(j, k)` is coordinate `k` of point `j`.
    pub(crate) fn new(points: usize, dimension: usize, at: impl Fn(usize, usize) -> T) -> Self {
        let stride = padded(points);
        let width = if dimension <= FEW { stride } else { PAD };
        let mut data = Aligned::filled(stride * dimension, T::ZERO);
        for j in 0..points {
            let start = j / width * width * dimension + j % width;
            for k in 0..dimension {
                data[start + k * width] = at(j, k);
            }
        }
        Self { data, dimension, stride, width }
    }

    /// All points' coordinate `k`, where they are few.
    pub(crate) fn coordinate(&self, k: usize) -> &[T] {
        &self.data[k * self.stride..(k + 1) * self.stride]
    }

    /// Coordinate `k` of point `j`.
    pub(crate) fn at(&self, j: usize, k: usize) -> T {
        self.data[(j / self.width * self.dimension + k) * self.width + j % self.width]
    }

    /// Padded number of points.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }
}

/// |x − y| or its square between some points `x` and all points `y` of a cloud.
#[derive(Debug)]
pub(crate) struct Distances<'a, T> {
    /// Points, one after the other.
    pub(crate) x: &'a [T],
    /// The other cloud.
    pub(crate) y: &'a Panels<T>,
    /// Whether to take the square root.
    pub(crate) root: bool,
    /// One row, as long as the padded cloud, for each point of `x`.
    pub(crate) out: &'a mut [T],
}

impl<T: Lanes> Distances<'_, T> {
    /// Fills the rows.
    pub(crate) fn run(self, arch: Arch) {
        arch.dispatch(self);
    }
}

impl<T: Lanes> WithSimd for Distances<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, y, root, out } = self;
        let (dimension, stride) = (y.dimension, y.stride);
        let width = y.width;
        for (number, panel) in y.data.chunks_exact(width * dimension).enumerate() {
            let place = number * width;
            let mut points = x.chunks_exact(BLOCK * dimension);
            let mut rows = out.chunks_exact_mut(BLOCK * stride);
            for (x, out) in (&mut points).zip(&mut rows) {
                let mut x = x.chunks_exact(dimension);
                let x: [&[T]; BLOCK] = std::array::from_fn(|_| x.next().unwrap_or_default());
                let mut out =
                    out.chunks_exact_mut(stride).map(|row| &mut row[place..place + width]);
                let out: [&mut [T]; BLOCK] =
                    std::array::from_fn(|_| out.next().unwrap_or_default());
                block::<T, S, BLOCK>(simd, x, panel, root, out);
            }
            let rows = rows.into_remainder().chunks_exact_mut(stride);
            for (x, out) in points.remainder().chunks_exact(dimension).zip(rows) {
                block::<T, S, 1>(simd, [x], panel, root, [&mut out[place..place + width]]);
            }
        }
    }
}

/// `R` points against one panel, two registers of columns at a time.
#[inline(always)]
fn block<T: Lanes, S: Simd, const R: usize>(
    simd: S,
    x: [&[T]; R],
    panel: &[T],
    root: bool,
    out: [&mut [T]; R],
) {
    let panel = T::regs::<S>(panel);
    let regs = panel.len() / x[0].len();
    let out = out.map(|row| T::regs_mut::<S>(row));
    for column in (0..regs / 2).map(|c| 2 * c) {
        let zero = [[T::splat(simd, T::ZERO); 2]; R];
        let mut total = zero;
        for (part, y) in panel.chunks(RUN * regs).enumerate() {
            let mut sum = zero;
            for (k, y) in y.chunks_exact(regs).enumerate() {
                let y = [y[column], y[column + 1]];
                for r in 0..R {
                    let x = T::splat(simd, x[r][part * RUN + k]);
                    for h in 0..2 {
                        let difference = T::minus(simd, x, y[h]);
                        sum[r][h] = T::mul_add(simd, difference, difference, sum[r][h]);
                    }
                }
            }
            for r in 0..R {
                for h in 0..2 {
                    total[r][h] = T::plus(simd, total[r][h], sum[r][h]);
                }
            }
        }
        for r in 0..R {
            for h in 0..2 {
                out[r][column + h] = if root { T::sqrt(simd, total[r][h]) } else { total[r][h] };
            }
        }
    }
}
