//! Products of Householder reflectors, and with them of orthogonal matrices: `O(K D)`.

use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// `ln |det Π_k (I − τ_k v_k v_kᵀ)| = Σ_k ln |1 − τ_k ‖v_k‖²|` of vectors `[…, K, D]` and factors
/// `[…, K]`, shape `[…]`, in nats. Cost `K D`.
///
/// With `τ = 2/‖v‖²` each factor is a reflection, orthogonal with determinant −1, and the result is
/// zero: a product of orthogonal matrices needs no function. Another `τ` scales along `v`.
///
/// # Errors
/// [`Error::Shape`] where the factors do not fit the vectors, [`Error::Kind`] for integers.
pub fn householder(v: &Tensor, tau: &Tensor) -> Result<Tensor> {
    check::floating("vectors", v)?;
    let size = v.size();
    let [batch @ .., _] = size.as_slice() else {
        return Err(Error::shape("vectors", "[…, K, D]", &size));
    };
    if batch.is_empty() {
        return Err(Error::shape("vectors", "[…, K, D]", &size));
    }
    check::shape("tau", tau, batch)?;
    let last = [-1_i64];
    let square = v.f_square()?.f_sum_dim_intlist(last.as_slice(), false, None::<Kind>)?;
    let factor: Tensor = 1.0 - tau * square;
    Ok(factor.f_abs()?.f_log()?.f_sum_dim_intlist(last.as_slice(), false, None::<Kind>)?)
}
