//! Costs in single precision: half the memory traffic of the search, at a known distance from the
//! true costs.

use pulp::Arch;
use rayon::prelude::*;

use crate::buffer::{Aligned, padded};
use crate::geometry::{Cloud, Geometry, Rows};
use crate::kernel::rows::{Panels, rounding};
use crate::real::Erased;

/// Clouds or a matrix in single precision, scaled so that nothing over- or underflows.
#[derive(Debug)]
pub(crate) enum Single {
    /// Centred points in the unit ball.
    Cloud { x: Vec<f32>, y: Panels<f32>, dimension: usize, root: bool },
    /// Rows less their smallest entry, in [0, 1]; the rows are in the caller's store.
    Matrix { stride: usize },
}

/// Single-precision costs `s · (c − r_i)`: what relates them to the true ones.
#[derive(Debug)]
pub(crate) struct Scaled {
    pub(crate) single: Single,
    /// The factor s.
    pub(crate) scale: f64,
    /// Bound on the error of one scaled cost.
    pub(crate) error: f64,
    /// Bound on the scaled costs.
    pub(crate) largest: f64,
}

/// Half a unit in the last place of 1.
const HALF_ULP: f64 = 5.960_464_477_539_063e-8;

impl Scaled {
    /// Scales the costs; those of a matrix go to `store`.
    pub(crate) fn new(geometry: &Geometry<'_>, store: &mut Aligned<f32>) -> Self {
        match geometry {
            Geometry::Cloud(cloud) => Self::cloud(cloud),
            Geometry::Matrix(matrix) => Self::matrix(matrix, store),
        }
    }

    fn cloud(cloud: &Cloud) -> Self {
        let d = cloud.dimension;
        let middle = middle(&cloud.x, &cloud.y, d);
        let extent = |points: &[f64]| {
            let norms = points
                .chunks_exact(d)
                .map(|p| p.iter().zip(&middle).map(|(v, m)| (v - m).powi(2)).sum());
            norms.fold(0.0, f64::max).sqrt()
        };
        let (source, target) = (extent(&cloud.x), extent(&cloud.y));
        let radius = source.max(target);
        let factor = if radius > 0.0 { power_of_two_below(radius.recip()) } else { 1.0 };
        let farthest = (source + target) * factor;
        let single = |v: f64, k: usize| ((v - middle[k]) * factor) as f32;
        let mut x = Vec::with_capacity(cloud.x.len());
        for point in cloud.x.chunks_exact(d) {
            x.extend(point.iter().zip(&middle).map(|(v, m)| ((v - m) * factor) as f32));
        }
        let y = Panels::new(cloud.y.len() / d, d, |j, k| single(cloud.y[j * d + k], k));
        // Coordinates are rounded once, so |x - y| is off by HALF_ULP (|x| + |y|) at most; then come
        // the differences and their squares. The factor 2 is for good measure.
        let moved = HALF_ULP * farthest;
        let relative = HALF_ULP * rounding(d);
        let (scale, error, largest) = if cloud.root {
            (factor, 2.0 * (moved + relative * farthest), farthest)
        } else {
            let largest = farthest * farthest;
            (factor * factor, 2.0 * (2.0 * farthest * moved + relative * largest), largest)
        };
        Self {
            single: Single::Cloud { x, y, dimension: d, root: cloud.root },
            scale,
            error,
            largest,
        }
    }

    fn matrix(matrix: &Erased<'_>, store: &mut Aligned<f32>) -> Self {
        let (sources, targets) = matrix.shape();
        let stride = padded(targets);
        let least = |row: &[f64]| row.iter().copied().fold(f64::INFINITY, f64::min);
        let range = |i: usize| {
            let mut row = vec![0.0; targets];
            matrix.copy_row(i, &mut row);
            row.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least(&row)
        };
        let largest = (0..sources).into_par_iter().map(range).reduce(|| 0.0, f64::max);
        let scale = if largest > 0.0 { power_of_two_below(largest.recip()) } else { 1.0 };
        store.resize(sources * stride);
        store.par_chunks_mut(stride).enumerate().for_each(|(i, out)| {
            let mut row = vec![0.0; targets];
            matrix.copy_row(i, &mut row);
            let least = least(&row);
            for (out, c) in out.iter_mut().zip(&row) {
                *out = ((c - least) * scale) as f32;
            }
            out[targets..].fill(0.0);
        });
        Self { single: Single::Matrix { stride }, scale, error: 2.0 * HALF_ULP, largest: 1.0 }
    }

    /// The rows, computed into `store` where that is cheaper than again and again.
    pub(crate) fn rows<'s>(
        &'s self,
        arch: Arch,
        sources: usize,
        store: &'s mut Aligned<f32>,
    ) -> Rows<'s, f32> {
        match &self.single {
            Single::Matrix { stride } => Rows::Stored { data: store, stride: *stride },
            Single::Cloud { x, y, dimension, root } => {
                let rows = Rows::Cloud { x, dimension: *dimension, y, root: *root };
                rows.stored_if_cheaper(arch, sources, store)
            }
        }
    }
}

/// Middle of the range of each coordinate in both clouds.
fn middle(x: &[f64], y: &[f64], dimension: usize) -> Vec<f64> {
    let mut low = vec![f64::INFINITY; dimension];
    let mut high = vec![f64::NEG_INFINITY; dimension];
    for point in x.chunks_exact(dimension).chain(y.chunks_exact(dimension)) {
        for ((low, high), &v) in low.iter_mut().zip(&mut high).zip(point) {
            *low = if v < *low { v } else { *low };
            *high = if v > *high { v } else { *high };
        }
    }
    low.iter().zip(&high).map(|(low, high)| low + 0.5 * (high - low)).collect()
}

/// The largest power of two not above a positive number: scaling by it rounds nothing, so that
/// equal costs stay equal.
fn power_of_two_below(value: f64) -> f64 {
    value.log2().floor().exp2()
}
