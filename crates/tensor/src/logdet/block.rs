//! Block matrices: the blocks' costs instead of that of the whole.

use super::{LuFactors, dense};
use crate::{Error, Result, check};
use tch::Tensor;

/// `ln |det|` of block triangular (or block diagonal) matrices by the blocks of the diagonal,
/// `[…, Dᵢ, Dᵢ]` each: `Σᵢ ln |det Aᵢᵢ|`, shape `[…]`, in nats. Cost `⅔ Σᵢ Dᵢ³`.
///
/// # Errors
/// [`Error::Config`] for no block, [`Error::Shape`] for a block that is not square.
pub fn block_triangular(diagonal: &[&Tensor]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for block in diagonal {
        let one = dense(block)?;
        sum = Some(match sum {
            Some(before) => before.f_add(&one)?,
            None => one,
        });
    }
    sum.ok_or_else(|| Error::config("blocks", "expected at least one block"))
}

/// The four blocks of `[[A, B], [C, D]]`, of shapes `[…, N, N]`, `[…, N, M]`, `[…, M, N]` and
/// `[…, M, M]`.
#[derive(Debug)]
pub struct Blocks<'a> {
    /// Upper left.
    pub a: &'a Tensor,
    /// Upper right.
    pub b: &'a Tensor,
    /// Lower left.
    pub c: &'a Tensor,
    /// Lower right.
    pub d: &'a Tensor,
}

/// `ln |det [[A, B], [C, D]]| = ln |det A| + ln |det(D − C A⁻¹ B)|`, by the Schur complement of an
/// invertible `A`, shape `[…]`, in nats.
///
/// Cost `⅔ (N³ + M³) + 2 N² M + N M²`: worth while where `A` is small or its structure is cheap.
///
/// # Errors
/// [`Error::Shape`] for blocks that do not fit.
pub fn block(blocks: &Blocks<'_>) -> Result<Tensor> {
    let Blocks { a, b, c, d } = blocks;
    check::square("D", d)?;
    let factors = LuFactors::new(a)?;
    let schur = d.f_sub(&c.f_matmul(&factors.solve(b)?)?)?;
    Ok(factors.log_det()?.f_add(&dense(&schur)?)?)
}
