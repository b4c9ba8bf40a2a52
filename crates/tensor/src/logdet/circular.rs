//! Convolutions whose padding is periodic, by the Fourier transform of the kernel.

use super::dense::{dense, slogdet};
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// `ln |det|` of a 1×1 convolution with the matrix `W` `[C, C]` on `places` pixels:
/// `places · ln |det W|`, a scalar in nats (Kingma and Dhariwal 2018, "Glow", arXiv:1807.03039,
/// eq. 9). Cost `⅔ C³`.
///
/// # Errors
/// [`Error::Shape`] for other than a square matrix.
pub fn pointwise_convolution(weight: &Tensor, places: i64) -> Result<Tensor> {
    check::square("weight", weight)?;
    Ok(dense(weight)? * places as f64)
}

/// `ln |det|` of a convolution with periodic padding on images (or signals, volumes) of `size`, a
/// scalar in nats. The kernel is `[C, C, k₁, …, kₙ]`, `size` has `n` entries, none less than `kᵢ`.
///
/// The Fourier transform makes the map block diagonal, with one complex `C × C` block for each
/// frequency: `Σ_f ln |det K̂(f)|` (Hoogeboom et al. 2019, "Emerging convolutions", arXiv:1901.11137,
/// section 3.2). A shift of the kernel and the difference between convolution and correlation leave
/// the modulus alone. Cost `P C³ + C² P log P` for `P` places.
///
/// # Errors
/// [`Error::Shape`] for a kernel that is not square in its channels, of other dimensions than
/// `size`, or larger.
pub fn circular_convolution(kernel: &Tensor, size: &[i64]) -> Result<Tensor> {
    check::floating("kernel", kernel)?;
    let spectrum = spectrum(kernel, size)?;
    let channels = kernel.size()[0];
    Ok(slogdet(&spectrum, channels)?.f_sum(None::<Kind>)?)
}

/// The transform of the kernel as one complex `[C, C]` matrix for each frequency, `[P, C, C]`.
fn spectrum(kernel: &Tensor, size: &[i64]) -> Result<Tensor> {
    let shape = kernel.size();
    let fits = shape.len() == size.len() + 2
        && shape[0] == shape[1]
        && shape[2..].iter().zip(size).all(|(k, s)| 0 < *k && k <= s);
    if !fits || size.is_empty() {
        return Err(Error::shape("kernel", format!("[C, C, k…] with k ≤ {size:?}"), &shape));
    }
    let dims: Vec<i64> = (2..shape.len() as i64).collect();
    let transformed = kernel.f_fft_fftn(size, dims.as_slice(), "backward")?;
    let places: i64 = size.iter().product();
    Ok(transformed.f_reshape([shape[0], shape[0], places])?.f_permute([2_i64, 0, 1].as_slice())?)
}
