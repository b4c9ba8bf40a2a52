//! Convolutions with zero padding, exactly, by their dense matrix: for tests and small images.

use super::dense;
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// The matrix `[C·P, C·P]` of the convolution (correlation, as LibTorch's) with the kernel
/// `[C, C, k_h, k_w]`, stride one and zero padding that keeps the size, on images `[C, H, W]`
/// flattened row by row; `P = H·W`. It is a block Toeplitz matrix; memory `(C P)²`.
///
/// # Errors
/// [`Error::Shape`] for a kernel that is not square in its channels or of even size.
pub fn toeplitz(kernel: &Tensor, height: i64, width: i64) -> Result<Tensor> {
    check::floating("kernel", kernel)?;
    let &[channels, inputs, kh, kw] = kernel.size().as_slice() else {
        return Err(Error::shape("kernel", "[C, C, k_h, k_w], both odd", &kernel.size()));
    };
    if channels != inputs || kh % 2 == 0 || kw % 2 == 0 {
        return Err(Error::shape("kernel", "[C, C, k_h, k_w], both odd", &kernel.size()));
    }
    let dims = channels * height * width;
    let basis = Tensor::f_eye(dims, (Kind::Double, kernel.device()))?.f_to_kind(kernel.kind())?;
    let images = basis.f_reshape([dims, channels, height, width])?;
    let padding = [kh / 2, kw / 2];
    let one = [1_i64, 1];
    let columns = images.f_conv2d(
        kernel,
        None::<Tensor>,
        one.as_slice(),
        padding.as_slice(),
        one.as_slice(),
        1,
    )?;
    // Row i of `columns` is the image of basis vector i: a column of the matrix.
    Ok(columns.f_reshape([dims, dims])?.f_transpose(0, 1)?)
}

/// `ln |det|` of [`toeplitz`], a scalar in nats. Cost `⅔ (C H W)³`.
///
/// # Errors
/// As [`toeplitz`].
pub fn padded_convolution(kernel: &Tensor, height: i64, width: i64) -> Result<Tensor> {
    dense(&toeplitz(kernel, height, width)?)
}
