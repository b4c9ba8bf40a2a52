//! Kronecker products: `O(N³ + M³)` instead of `O(N³ M³)`.

use super::dense;
use crate::{Result, check};
use tch::Tensor;

/// `ln |det(A ⊗ B)| = M ln |det A| + N ln |det B|` of `A` `[…, N, N]` and `B` `[…, M, M]`, in nats.
///
/// Batch dimensions broadcast. Cost `⅔ (N³ + M³)` multiplications.
///
/// # Errors
/// [`crate::Error::Shape`] for other than square matrices, [`crate::Error::Kind`] for integers.
pub fn kronecker(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (n, m) = (check::square("A", a)?, check::square("B", b)?);
    Ok((dense(a)? * m as f64).f_add(&(dense(b)? * n as f64))?)
}
