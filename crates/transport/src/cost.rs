//! What a unit of mass pays from a source point to a target point.

use ndarray::ArrayView2;

use crate::error::{Error, Result};
use crate::geometry::{Cloud, Geometry};
use crate::real::Real;

/// The cost of moving a unit of mass from source `i` to target `j`.
///
/// Clouds are arrays of shape `[points, dimension]`. Their costs are never needed as a matrix by
/// the caller, and are computed by differences of coordinates, so that close points of a far cloud
/// keep their digits.
#[derive(Clone, Copy, Debug)]
pub enum Cost<'a, F> {
    /// Any finite matrix `[sources, targets]`, negative entries included.
    Matrix(ArrayView2<'a, F>),
    /// |x_i − y_j|².
    SquaredEuclidean {
        /// The points x, `[sources, dimension]`.
        source: ArrayView2<'a, F>,
        /// The points y, `[targets, dimension]`.
        target: ArrayView2<'a, F>,
    },
    /// |x_i − y_j|.
    Euclidean {
        /// The points x, `[sources, dimension]`.
        source: ArrayView2<'a, F>,
        /// The points y, `[targets, dimension]`.
        target: ArrayView2<'a, F>,
    },
}

impl<'a, F: Real> Cost<'a, F> {
    /// The given matrix, `[sources, targets]`.
    pub fn matrix(matrix: impl Into<ArrayView2<'a, F>>) -> Self {
        Self::Matrix(matrix.into())
    }

    /// |x_i − y_j|² between two clouds, `[points, dimension]`.
    pub fn squared_euclidean(
        source: impl Into<ArrayView2<'a, F>>,
        target: impl Into<ArrayView2<'a, F>>,
    ) -> Self {
        Self::SquaredEuclidean { source: source.into(), target: target.into() }
    }

    /// |x_i − y_j| between two clouds, `[points, dimension]`.
    pub fn euclidean(
        source: impl Into<ArrayView2<'a, F>>,
        target: impl Into<ArrayView2<'a, F>>,
    ) -> Self {
        Self::Euclidean { source: source.into(), target: target.into() }
    }

    /// Number of sources and of targets.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Matrix(matrix) => matrix.dim(),
            Self::SquaredEuclidean { source, target } | Self::Euclidean { source, target } => {
                (source.nrows(), target.nrows())
            }
        }
    }

    /// The cost of one pair in double precision, or `None` outside the shape.
    #[must_use]
    pub fn get(&self, source: usize, target: usize) -> Option<f64> {
        let (sources, targets) = self.shape();
        (source < sources && target < targets).then(|| self.at(source, target))
    }

    /// The cost of a pair that exists.
    pub(crate) fn at(&self, source: usize, target: usize) -> f64 {
        match self {
            Self::Matrix(matrix) => matrix[[source, target]].to_f64(),
            Self::SquaredEuclidean { source: x, target: y } => square(x, y, source, target),
            Self::Euclidean { source: x, target: y } => square(x, y, source, target).sqrt(),
        }
    }

    /// Checks shapes and values, and lays the costs out for the solvers.
    /// `translate` says whether every source and target is used up, so that a cost that depends
    /// on one of them only may be taken away.
    pub(crate) fn prepare(&self, translate: bool) -> Result<Geometry<'a>> {
        match *self {
            Self::Matrix(matrix) => {
                if matrix.is_empty() {
                    return Err(Error::Empty { what: "cost" });
                }
                finite("cost", matrix)?;
                Ok(Geometry::Matrix(F::erase(matrix)))
            }
            Self::SquaredEuclidean { source, target } => cloud(source, target, false, translate),
            Self::Euclidean { source, target } => cloud(source, target, true, false),
        }
    }
}

fn square<F: Real>(x: &ArrayView2<'_, F>, y: &ArrayView2<'_, F>, i: usize, j: usize) -> f64 {
    let square = |(a, b): (&F, &F)| (a.to_f64() - b.to_f64()).powi(2);
    let (x, y) = (x.row(i), y.row(j));
    match (x.as_slice(), y.as_slice()) {
        (Some(x), Some(y)) => x.iter().zip(y).map(square).sum(),
        _ => x.iter().zip(&y).map(square).sum(),
    }
}

fn cloud<'a, F: Real>(
    source: ArrayView2<'_, F>,
    target: ArrayView2<'_, F>,
    root: bool,
    translate: bool,
) -> Result<Geometry<'a>> {
    check_clouds(source, target)?;
    let flat = |points: ArrayView2<'_, F>| match points.as_slice() {
        Some(points) => points.iter().map(|v| v.to_f64()).collect(),
        None => points.iter().map(|v| v.to_f64()).collect(),
    };
    Ok(Geometry::Cloud(Cloud::new(flat(source), flat(target), source.ncols(), root, translate)))
}

/// Checks that both clouds have points, of the same dimension, and finite.
pub(crate) fn check_clouds<F: Real>(
    source: ArrayView2<'_, F>,
    target: ArrayView2<'_, F>,
) -> Result<()> {
    for (what, empty) in [("source", source.is_empty()), ("target", target.is_empty())] {
        if empty {
            return Err(Error::Empty { what });
        }
    }
    finite("source", source)?;
    finite("target", target)?;
    if target.ncols() != source.ncols() {
        return Err(Error::shape(
            "target",
            format!("points of dimension {}, as in the source", source.ncols()),
            format!("dimension {}", target.ncols()),
        ));
    }
    Ok(())
}

/// Squares, their sums over coordinates and differences of potentials stay finite up to here.
const LARGEST: f64 = 1e140;

/// Fails on the first value that is not finite, or so large that its square is not.
pub(crate) fn finite<F: Real>(what: &'static str, values: ArrayView2<'_, F>) -> Result<()> {
    let fine = |x: &F| x.to_f64().abs() <= LARGEST;
    for row in values.rows() {
        // Without an early end the loop over a slice becomes vector code.
        let all = match row.as_slice() {
            Some(row) => row.iter().fold(true, |all, x| all & fine(x)),
            None => row.iter().all(fine),
        };
        if !all && let Some(got) = row.iter().find(|x| !fine(x)) {
            return Err(Error::NonFinite { what, got: got.to_f64() });
        }
    }
    Ok(())
}
