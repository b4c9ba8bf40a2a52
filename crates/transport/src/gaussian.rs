//! Transport between Gaussians, in closed form.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::cost::finite;
use crate::eigen::{Eigen, symmetric};
use crate::error::{Error, Result};
use crate::real::Real;

/// W₂ between the Gaussians N(m, A) and N(n, B) (Dowson & Landau 1982), the Bures distance of the
/// covariances plus that of the means:
/// W₂² = |m − n|² + tr(A + B − 2 (A^{1/2} B A^{1/2})^{1/2}). Singular covariances are welcome.
///
/// # Errors
/// Shapes that do not fit, values that are not finite, or a matrix that is not symmetric and
/// positive semi-definite.
pub fn bures<F: Real>(
    mean_x: ArrayView1<'_, F>,
    covariance_x: ArrayView2<'_, F>,
    mean_y: ArrayView1<'_, F>,
    covariance_y: ArrayView2<'_, F>,
) -> Result<f64> {
    let d = mean_x.len();
    if d == 0 {
        return Err(Error::Empty { what: "mean_x" });
    }
    if mean_y.len() != d {
        return Err(Error::shape(
            "mean_y",
            format!("{d} entries, as in mean_x"),
            mean_y.len().to_string(),
        ));
    }
    finite("mean_x", mean_x.insert_axis(Axis(0)))?;
    finite("mean_y", mean_y.insert_axis(Axis(0)))?;
    let a = covariance("covariance_x", covariance_x, d)?;
    let b = covariance("covariance_y", covariance_y, d)?;
    let root = root(&decompose::<F>("covariance_x", &a)?);
    decompose::<F>("covariance_y", &b)?;
    let inner = root.dot(&b).dot(&root);
    let inner = 0.5 * (&inner + &inner.t());
    let cross: f64 = symmetric(&inner)?.values.iter().map(|&value| value.max(0.0).sqrt()).sum();
    let means: f64 =
        mean_x.iter().zip(mean_y).map(|(m, n)| (m.to_f64() - n.to_f64()).powi(2)).sum();
    let squared = means + (a.diag().sum() + b.diag().sum() - 2.0 * cross);
    Ok(squared.max(0.0).sqrt())
}

fn covariance<F: Real>(
    what: &'static str,
    matrix: ArrayView2<'_, F>,
    d: usize,
) -> Result<Array2<f64>> {
    if matrix.dim() != (d, d) {
        return Err(Error::shape(
            what,
            format!("shape ({d}, {d}), for means of {d} entries"),
            format!("{:?}", matrix.dim()),
        ));
    }
    finite(what, matrix)?;
    let matrix = matrix.mapv(|v| v.to_f64());
    let largest = matrix.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let skew = matrix
        .indexed_iter()
        .fold(0.0, |most: f64, ((i, j), v)| most.max((v - matrix[[j, i]]).abs()));
    if skew > digits::<F>() * largest {
        return Err(Error::parameter(
            what,
            format!("expected a symmetric matrix, got entries {skew} apart"),
        ));
    }
    Ok(0.5 * (&matrix + &matrix.t()))
}

fn decompose<F: Real>(what: &'static str, matrix: &Array2<f64>) -> Result<Eigen> {
    let eigen = symmetric(matrix)?;
    let largest = eigen.values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    match eigen.values.iter().find(|&&value| value < -digits::<F>() * largest) {
        Some(value) => Err(Error::parameter(
            what,
            format!("expected a positive semi-definite matrix, got the eigenvalue {value}"),
        )),
        None => Ok(eigen),
    }
}

/// What the entries of a covariance computed in `F` may be off by, as a share of the largest.
fn digits<F: Real>() -> f64 {
    if size_of::<F>() == 4 { 1e-4 } else { 1e-9 }
}

/// The symmetric square root.
fn root(eigen: &Eigen) -> Array2<f64> {
    let mut scaled = eigen.vectors.clone();
    for (mut row, value) in scaled.rows_mut().into_iter().zip(&eigen.values) {
        row *= value.max(0.0).sqrt();
    }
    eigen.vectors.t().dot(&scaled)
}
