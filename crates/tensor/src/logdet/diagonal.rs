//! Diagonal matrices: `O(D)`.

use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// `ln |det diag(d)| = Σᵢ ln |dᵢ|` of diagonals `[…, D] → […]`, in nats. Cost `D`.
///
/// # Errors
/// [`Error::Shape`] for a scalar, [`Error::Kind`] for integers.
pub fn diagonal(d: &Tensor) -> Result<Tensor> {
    check::floating("diagonal", d)?;
    if d.dim() == 0 {
        return Err(Error::shape("diagonal", "[…, D]", &[]));
    }
    Ok(d.f_abs()?.f_log()?.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?)
}
