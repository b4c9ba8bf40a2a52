//! Score matching: objectives that fit `s(x) = ∇ₓ ln p(x)` without a normalising constant.

mod denoising;
mod explicit;
mod finite_difference;
mod matching;
mod of_density;
mod reconstruction;
mod sliced;

pub use denoising::DenoisingScoreMatching;
pub use explicit::ExplicitScoreMatching;
pub use finite_difference::FiniteDifferenceScoreMatching;
pub use matching::{PointFn, ScoreMatching, ScoreMatchingConfig};
pub use of_density::ScoreOf;
pub use reconstruction::{
    Chains, ContractiveReconstruction, DenoisingReconstruction, Metropolis, MetropolisConfig,
    ReconstructionConfig, ReconstructionScore, log_density_difference,
};
pub use sliced::{SlicedScoreMatching, Slices};

use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// Sums the event dimensions of `[B, event…]`.
pub(crate) fn sum_events(x: &Tensor) -> Result<Tensor> {
    let rows = x.size().first().copied().unwrap_or_default();
    let count: i64 = x.size().iter().skip(1).product();
    let flat = x.f_reshape([rows, count])?;
    Ok(flat.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
}
