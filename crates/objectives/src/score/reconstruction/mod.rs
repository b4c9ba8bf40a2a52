//! Auto-encoders as estimators of scores.

mod config;
mod contractive;
mod denoising;
mod metropolis;

pub use config::{MetropolisConfig, ReconstructionConfig};
pub use contractive::ContractiveReconstruction;
pub use denoising::DenoisingReconstruction;
pub use metropolis::{Chains, Metropolis, log_density_difference};

use maxlik_model::{Reconstruct, Score};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `(r(x) − x)/σ²`: the score of data smoothed by the training noise `σ`, exactly at the optimum of
/// [`DenoisingReconstruction`] for any `σ` (Tweedie's formula), and up to `O(σ²)` that of the data for
/// both objectives (Alain and Bengio 2014, "What regularized auto-encoders learn from the
/// data-generating distribution", arXiv:1211.4246, theorems 1 and 2).
#[derive(Debug)]
pub struct ReconstructionScore<R> {
    /// The auto-encoder.
    pub reconstruction: R,
    sigma: f64,
}

impl<R> ReconstructionScore<R> {
    /// The score of an auto-encoder trained with this noise.
    ///
    /// # Errors
    /// [`Error::Config`] for a noise that is not positive.
    pub fn new(reconstruction: R, sigma: f64) -> Result<Self> {
        Ok(Self { reconstruction, sigma: positive("sigma", sigma)? })
    }
}

impl<R: Reconstruct> Score for ReconstructionScore<R> {
    fn score(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let back = self.reconstruction.reconstruct(x, context)?;
        Ok(back.f_sub(x)? / (self.sigma * self.sigma))
    }
}

fn positive(field: &str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(Error::config(field, format!("expected a positive number, got {value}")))
}
