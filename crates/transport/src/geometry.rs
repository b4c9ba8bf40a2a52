//! Costs laid out for the solvers: rows on demand, stored or computed.

use pulp::Arch;
use rayon::prelude::*;

use crate::buffer::{Aligned, padded, worth_a_thread};
use crate::kernel::line::Near;
use crate::kernel::rows::{Distances, FEW, Panels};
use crate::kernel::{Best, Frontier, Relax, best_two, squared};
use crate::real::{Erased, Real};

/// Costs in double precision.
#[derive(Debug)]
pub(crate) enum Geometry<'a> {
    /// A given matrix.
    Matrix(Erased<'a>),
    /// Distances between two clouds.
    Cloud(Cloud),
}

/// Two clouds, the target translated onto the source where that takes most of a squared cost away.
#[derive(Debug)]
pub(crate) struct Cloud {
    /// Source points, one after the other.
    pub(crate) x: Vec<f64>,
    /// Translated target points, one after the other.
    pub(crate) y: Vec<f64>,
    /// What was subtracted of each target point.
    pub(crate) shift: Vec<f64>,
    /// Coordinates of a point, at least one.
    pub(crate) dimension: usize,
    /// Whether the cost is the distance and not its square.
    pub(crate) root: bool,
    /// The translated target points again, as the kernel reads them.
    panels: Panels<f64>,
}

impl Cloud {
    /// Both clouds flat, one point after the other.
    pub(crate) fn new(
        x: Vec<f64>,
        mut y: Vec<f64>,
        dimension: usize,
        root: bool,
        translate: bool,
    ) -> Self {
        let shift = if translate { translation(&x, &y, dimension) } else { vec![0.0; dimension] };
        for point in y.chunks_exact_mut(dimension) {
            for (y, t) in point.iter_mut().zip(&shift) {
                *y -= t;
            }
        }
        let panels = Panels::new(y.len() / dimension, dimension, |j, k| y[j * dimension + k]);
        Self { x, y, shift, dimension, root, panels }
    }

    fn cost(&self, arch: Arch, i: usize, j: usize) -> f64 {
        let d = self.dimension;
        let square = squared(arch, &self.x[i * d..(i + 1) * d], &self.y[j * d..(j + 1) * d]);
        if self.root { square.sqrt() } else { square }
    }
}

/// A translation of the target changes |x − y|² by a function of x plus one of y, so the optimal
/// plan stays, and what is gained are digits. One within the clouds' own spread is not worth the
/// rounding of the translated points.
fn translation(x: &[f64], y: &[f64], dimension: usize) -> Vec<f64> {
    let (mean_x, spread_x) = moments(x, dimension);
    let (mean_y, spread_y) = moments(y, dimension);
    let shift: Vec<f64> = mean_y.iter().zip(&mean_x).map(|(y, x)| y - x).collect();
    let apart: f64 = shift.iter().map(|t| t * t).sum();
    if apart > 0.01 * (spread_x + spread_y) && apart.is_finite() {
        shift
    } else {
        vec![0.0; dimension]
    }
}

/// Mean of some points, and their mean squared distance from it.
fn moments(points: &[f64], dimension: usize) -> (Vec<f64>, f64) {
    let count = (points.len() / dimension) as f64;
    let mut mean = vec![0.0; dimension];
    for point in points.chunks_exact(dimension) {
        mean.iter_mut().zip(point).for_each(|(mean, v)| *mean += v);
    }
    mean.iter_mut().for_each(|mean| *mean /= count);
    let mut squares = vec![0.0; dimension];
    for point in points.chunks_exact(dimension) {
        for (square, (v, mean)) in squares.iter_mut().zip(point.iter().zip(&mean)) {
            *square += (v - mean) * (v - mean);
        }
    }
    (mean, squares.iter().sum::<f64>() / count)
}

impl Geometry<'_> {
    /// Number of sources and targets.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match self {
            Self::Matrix(matrix) => matrix.shape(),
            Self::Cloud(cloud) => {
                (cloud.x.len() / cloud.dimension, cloud.y.len() / cloud.dimension)
            }
        }
    }

    /// Cost of a pair.
    pub(crate) fn cost(&self, arch: Arch, i: usize, j: usize) -> f64 {
        match self {
            Self::Matrix(matrix) => matrix.at(i, j),
            Self::Cloud(cloud) => cloud.cost(arch, i, j),
        }
    }

    /// Target potentials with the translation t of the clouds put in (`sign` 1) or out (-1):
    /// |x − y − t|² = |x − y|² − 2 t·x + 2 t·y + |t|².
    pub(crate) fn shifted(&self, potentials: &[f64], sign: f64) -> Vec<f64> {
        let Self::Cloud(cloud) = self else {
            return potentials.to_vec();
        };
        let points = cloud.y.chunks_exact(cloud.dimension);
        let dot = points.map(|y| y.iter().zip(&cloud.shift).map(|(y, t)| y * t).sum::<f64>());
        potentials.iter().zip(dot).map(|(v, dot)| v + sign * 2.0 * dot).collect()
    }

    /// Rows computed when they are asked for.
    pub(crate) fn rows(&self) -> Rows<'_, f64> {
        match self {
            Self::Matrix(matrix) => Rows::Matrix(matrix.reborrow()),
            Self::Cloud(cloud) => Rows::Cloud {
                x: &cloud.x,
                dimension: cloud.dimension,
                y: &cloud.panels,
                root: cloud.root,
            },
        }
    }
}

/// Rows of a cost matrix, each padded to `stride` entries.
#[derive(Debug)]
pub(crate) enum Rows<'a, T> {
    /// The matrix is there.
    Stored {
        /// Row after row.
        data: &'a [T],
        /// Padded length of a row.
        stride: usize,
    },
    /// Rows are computed from points.
    Cloud {
        /// Source points, one after the other.
        x: &'a [T],
        /// Coordinates of a point.
        dimension: usize,
        /// Target points.
        y: &'a Panels<T>,
        /// Whether the cost is the distance and not its square.
        root: bool,
    },
    /// Rows are copied from a matrix of the caller.
    Matrix(Erased<'a>),
}

impl Rows<'_, f64> {
    /// The costs of row `i`, without a copy where they lie in memory as they are; `scratch` has `stride`
    /// entries. What comes may be padded or not.
    pub(crate) fn costs<'s>(&'s self, arch: Arch, i: usize, scratch: &'s mut [f64]) -> &'s [f64] {
        if let Self::Matrix(Erased::F64(view)) = self {
            let columns = view.ncols();
            if let Some(data) = view.as_slice() {
                return &data[i * columns..(i + 1) * columns];
            }
        }
        self.row(arch, i, scratch)
    }
}

impl<'a, T: Real> Rows<'a, T> {
    /// Padded length of a row.
    pub(crate) fn stride(&self) -> usize {
        match self {
            Self::Stored { stride, .. } => *stride,
            Self::Cloud { y, .. } => y.stride(),
            Self::Matrix(matrix) => padded(matrix.shape().1),
        }
    }

    /// Row `i`, in `scratch` (of `stride` entries) unless it is stored. Padding is finite.
    pub(crate) fn row<'s>(&'s self, arch: Arch, i: usize, scratch: &'s mut [T]) -> &'s [T] {
        match self {
            Self::Stored { data, stride } => &data[i * stride..(i + 1) * stride],
            Self::Cloud { x, dimension, y, root } => {
                let x = &x[i * dimension..(i + 1) * dimension];
                Distances { x, y, root: *root, out: scratch }.run(arch);
                scratch
            }
            Self::Matrix(matrix) => {
                matrix.copy_row(i, scratch);
                scratch
            }
        }
    }

    /// Copies row `i` into `out`, of `stride` entries.
    pub(crate) fn copy(&self, arch: Arch, i: usize, out: &mut [T]) {
        if let Self::Stored { .. } = self {
            out.copy_from_slice(self.row(arch, i, &mut []));
        } else {
            self.row(arch, i, out);
        }
    }

    /// The two cheapest columns of row `i` under prices.
    pub(crate) fn best_two(&self, arch: Arch, i: usize, price: &[T], scratch: &mut [T]) -> Best<T> {
        match self {
            Self::Cloud { x, dimension: 1, y, root } => {
                best_two(arch, near::<T, 1>(x, y, *root, i), price)
            }
            Self::Cloud { x, dimension: 2, y, root } => {
                best_two(arch, near::<T, 2>(x, y, *root, i), price)
            }
            Self::Cloud { x, dimension: 3, y, root } => {
                best_two(arch, near::<T, 3>(x, y, *root, i), price)
            }
            Self::Cloud { x, dimension: 4, y, root } => {
                best_two(arch, near::<T, 4>(x, y, *root, i), price)
            }
            _ => best_two(arch, self.row(arch, i, scratch), price),
        }
    }

    /// Relaxes row `i`.
    pub(crate) fn relax(
        &self,
        arch: Arch,
        i: usize,
        relax: Relax<'_, T>,
        scratch: &mut [T],
    ) -> Frontier<T> {
        match self {
            Self::Cloud { x, dimension: 1, y, root } => {
                relax.run(arch, near::<T, 1>(x, y, *root, i))
            }
            Self::Cloud { x, dimension: 2, y, root } => {
                relax.run(arch, near::<T, 2>(x, y, *root, i))
            }
            Self::Cloud { x, dimension: 3, y, root } => {
                relax.run(arch, near::<T, 3>(x, y, *root, i))
            }
            Self::Cloud { x, dimension: 4, y, root } => {
                relax.run(arch, near::<T, 4>(x, y, *root, i))
            }
            _ => relax.run(arch, self.row(arch, i, scratch)),
        }
    }

    /// One entry.
    pub(crate) fn at(&self, i: usize, j: usize) -> T {
        match self {
            Self::Stored { data, stride } => data[i * stride + j],
            Self::Cloud { x, dimension, y, root } => {
                let x = &x[i * dimension..(i + 1) * dimension];
                let square = x.iter().enumerate().fold(T::ZERO, |sum, (k, &x)| {
                    let difference = x - y.at(j, k);
                    difference.fused(difference, sum)
                });
                if *root { square.root() } else { square }
            }
            Self::Matrix(matrix) => T::from_f64(matrix.at(i, j)),
        }
    }

    /// The rows themselves, or all of them computed into `store`. Points of few coordinates are
    /// quicker to compute from the nearest cache than their costs are to fetch from afar, and a
    /// matrix that large is not worth its memory.
    pub(crate) fn stored_if_cheaper(
        self,
        arch: Arch,
        count: usize,
        store: &'a mut Aligned<T>,
    ) -> Self {
        /// Entries of a matrix that stays near the processor.
        const NEAR: usize = 1 << 17;
        /// Entries of a matrix that may be stored at all.
        const MOST: usize = 1 << 28;
        let entries = count.saturating_mul(self.stride());
        match &self {
            Self::Cloud { dimension, .. }
                if entries > MOST || (*dimension <= FEW && entries > NEAR) =>
            {
                self
            }
            Self::Stored { .. } => self,
            _ if entries > MOST => self,
            _ => self.store(arch, count, store),
        }
    }

    /// Computes all `count` rows into `store`, in parallel.
    pub(crate) fn store<'s>(
        &self,
        arch: Arch,
        count: usize,
        store: &'s mut Aligned<T>,
    ) -> Rows<'s, T> {
        /// Rows of a task: a panel of the target serves all of them from the nearest cache.
        const TILE: usize = 32;
        let stride = self.stride();
        store.resize(count * stride);
        let rows = store.par_chunks_mut(TILE * stride).enumerate();
        let work = match self {
            Self::Cloud { dimension, .. } => 2 * dimension,
            _ => 1,
        };
        rows.with_min_len(worth_a_thread(TILE * stride * work)).for_each(|(tile, out)| {
            let first = tile * TILE;
            let range = first..first + out.len() / stride;
            match self {
                Self::Stored { data, .. } => {
                    out.copy_from_slice(&data[range.start * stride..range.end * stride]);
                }
                Self::Cloud { x, dimension, y, root } => {
                    let x = &x[range.start * dimension..range.end * dimension];
                    Distances { x, y, root: *root, out }.run(arch);
                }
                Self::Matrix(matrix) => {
                    for (i, out) in range.zip(out.chunks_exact_mut(stride)) {
                        matrix.copy_row(i, out);
                    }
                }
            }
        });
        Rows::Stored { data: store, stride }
    }
}

/// Point `i` of a source of `D` coordinates, as the kernels read it.
fn near<'s, T: Real, const D: usize>(
    x: &[T],
    y: &'s Panels<T>,
    root: bool,
    i: usize,
) -> Near<'s, T, D> {
    Near {
        x: std::array::from_fn(|k| x[i * D + k]),
        y: std::array::from_fn(|k| y.coordinate(k)),
        root,
    }
}
