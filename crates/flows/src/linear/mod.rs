//! Linear maps by their structure: each with its log-determinant in less than `O(D³)` where the
//! structure allows it, and an exact inverse.

mod circular;
mod dense;
mod emerging;
mod exponential;
mod householder;
mod low_rank;
mod orthogonal;
mod pointwise;
mod qr;
mod svd;

pub use circular::CircularConvolution;
pub use dense::DenseLinear;
pub use emerging::EmergingConvolution;
pub use exponential::ExponentialLinear;
pub use householder::{Householder, Reflections};
pub use low_rank::LowRankLinear;
pub use orthogonal::{Orthogonal, OrthogonalBy};
pub use pointwise::{Pointwise, PointwiseBy};
pub use qr::QrLinear;
pub use svd::SvdLinear;

use maxlik_tensor::Result;
use tch::Tensor;

/// One log-determinant for each row of `x`.
fn each_row(log_det: &Tensor, x: &Tensor) -> Result<Tensor> {
    Ok(log_det.f_expand([x.size()[0]], false)?)
}
