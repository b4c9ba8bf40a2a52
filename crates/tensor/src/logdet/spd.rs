//! Symmetric positive definite matrices, by Cholesky: `O(D³)`, half the cost of LU.

use super::triangular;
use crate::{Error, Result, check};
use tch::Tensor;

/// `ln det A = 2 Σᵢ ln Lᵢᵢ` with `A = L Lᵀ` of symmetric positive definite matrices
/// `[…, D, D] → […]`, in nats.
///
/// Only the lower triangle is read. Cost `⅓ D³` multiplications.
///
/// # Errors
/// [`Error::NotInvertible`] where a matrix is not positive definite, [`Error::Shape`] for other than
/// square matrices, [`Error::Kind`] for integers.
pub fn positive_definite(a: &Tensor) -> Result<Tensor> {
    check::floating("matrix", a)?;
    check::square("matrix", a)?;
    super::count_factorization();
    let (lower, info) = a.f_linalg_cholesky_ex(false, false)?;
    if bool::try_from(&info.f_ne(0)?.f_any()?)? {
        return Err(Error::NotInvertible { what: "a matrix that is not positive definite".into() });
    }
    Ok(triangular(&lower)? * 2.0)
}
