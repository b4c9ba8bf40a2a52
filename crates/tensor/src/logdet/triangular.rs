//! Triangular matrices, by their diagonal: `O(D)`.

use crate::{Result, check};
use tch::{Kind, Tensor};

/// `ln |det T| = Σᵢ ln |tᵢᵢ|` of upper or lower triangular matrices `[…, D, D] → […]`, in nats.
///
/// Only the diagonal is read. Cost `D`.
///
/// # Errors
/// [`crate::Error::Shape`] for other than square matrices, [`crate::Error::Kind`] for integers.
pub fn triangular(t: &Tensor) -> Result<Tensor> {
    check::floating("matrix", t)?;
    check::square("matrix", t)?;
    let diagonal = t.f_diagonal(0, -2, -1)?;
    Ok(diagonal.f_abs()?.f_log()?.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?)
}
