//! Dense matrices, by LU: `O(D³)`.

use crate::{Result, check};
use tch::{Device, Tensor};

/// From this size on, LibTorch 2.13.0's batched LU on the CPU may not return (with two threads and
/// its MKL, seen from `D = 160`; `D = 128` returns). Single matrices are not affected.
const BATCHED_LU_LIMIT: i64 = 128;

/// `ln |det A|` of dense matrices `[…, D, D] → […]`, in nats; `−∞` for a singular one.
///
/// Differentiable, with the gradient `A⁻ᵀ`. Cost `⅔ D³` multiplications for each matrix; on the
/// CPU large matrices of a batch are factored one by one, because LibTorch's batched LU hangs there
/// (pytorch issues 141358 and 142815).
///
/// # Errors
/// [`crate::Error::Shape`] for other than square matrices, [`crate::Error::Kind`] for integers.
pub fn dense(a: &Tensor) -> Result<Tensor> {
    check::floating("matrix", a)?;
    let d = check::square("matrix", a)?;
    slogdet(a, d)
}

/// As [`dense`], unchecked and also for complex matrices.
pub(super) fn slogdet(a: &Tensor, d: i64) -> Result<Tensor> {
    super::count_factorization();
    if !must_loop(a, d) {
        return Ok(a.f_slogdet()?.1);
    }
    let size = a.size();
    let matrices = a.f_reshape([-1, d, d])?.f_unbind(0)?;
    let each = matrices.iter().map(|m| Ok(m.f_slogdet()?.1)).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_stack(&each, 0)?.f_reshape(&size[..size.len() - 2])?)
}

/// Whether LU must take the matrices `[…, D, D]` one by one.
pub(super) fn must_loop(a: &Tensor, d: i64) -> bool {
    let size = a.size();
    let batch: i64 = size[..size.len() - 2].iter().product();
    d > BATCHED_LU_LIMIT && batch > 1 && a.device() == Device::Cpu
}
