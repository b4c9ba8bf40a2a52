//! Low-rank updates of diagonal matrices: `O(D R²)`.

use super::{dense, diagonal};
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// `ln |det(diag(d) + U Vᵀ)|` of diagonals `[…, D]` and factors `[…, D, R]`, shape `[…]`, in nats.
///
/// By the matrix determinant lemma, `det(A + U Vᵀ) = det A · det(I + Vᵀ A⁻¹ U)`: a determinant of
/// size `R`. Cost `D R² + ⅔ R³`. The diagonal must have no zero.
///
/// # Errors
/// [`Error::Shape`] naming the factor that does not fit, [`Error::Kind`] for integers.
pub fn low_rank(d: &Tensor, u: &Tensor, v: &Tensor) -> Result<Tensor> {
    check::floating("diagonal", d)?;
    let rank = u.size().last().copied().unwrap_or_default();
    let mut shape = d.size();
    if shape.is_empty() {
        return Err(Error::shape("diagonal", "[…, D]", &[]));
    }
    shape.push(rank);
    check::shape("U", u, &shape)?;
    check::shape("V", v, &shape)?;
    let inner = v.f_transpose(-2, -1)?.f_matmul(&(u / d.f_unsqueeze(-1)?))?;
    let unit = Tensor::f_eye(rank, (Kind::Double, d.device()))?.f_to_kind(d.kind())?;
    Ok(diagonal(d)?.f_add(&dense(&(inner + unit))?)?)
}
