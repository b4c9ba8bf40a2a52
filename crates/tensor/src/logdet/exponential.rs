//! Matrix exponentials: `O(D)`.

use crate::{Result, check};
use tch::{Kind, Tensor};

/// `ln det e^A = tr A` of `A` `[…, D, D] → […]`, in nats; the exponential itself is not formed.
/// Cost `D`.
///
/// # Errors
/// [`crate::Error::Shape`] for other than square matrices, [`crate::Error::Kind`] for integers.
pub fn exponential(a: &Tensor) -> Result<Tensor> {
    check::floating("matrix", a)?;
    check::square("matrix", a)?;
    let diagonal = a.f_diagonal(0, -2, -1)?;
    Ok(diagonal.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?)
}
