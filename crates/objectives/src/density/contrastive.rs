//! Maximum likelihood without a determinant.

use maxlik_model::{Batch, Density, Loss, Objective};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `mean E(x) − mean E(x̃)` with `E = −ln p + const` and samples `x̃ ~ p` of the model itself, as many
/// as the batch has rows, without a graph (Chao et al. 2023, "Training energy-based normalizing flow
/// with score-matching objectives", arXiv:2305.15267, eq. 13, "SML").
///
/// In the mean over `x̃` its gradient is that of [`super::MaximumLikelihood`], since
/// `∂ ln Z/∂θ = −E_p[∂E/∂θ]`; determinants that do not depend on `x` are not computed in the loss, but
/// the samples need the inverse. The value is zero in the mean at the optimum, and no likelihood.
#[derive(Debug, Clone, Copy, Default)]
pub struct ContrastiveLikelihood;

impl ContrastiveLikelihood {
    /// The loss for given samples of the model.
    ///
    /// # Errors
    /// Those of the model, and [`Error::Shape`] for an empty batch.
    pub fn loss_at(model: &dyn Density, batch: &Batch, samples: &Tensor) -> Result<Tensor> {
        let context = batch.context.as_ref();
        if batch.data.size().first() == Some(&0) {
            return Err(Error::shape("data", "a batch of at least one row", &batch.data.size()));
        }
        let data = model.unnormalized_log_prob(&batch.data, context)?.f_mean(None::<Kind>)?;
        let model = model.unnormalized_log_prob(&samples.f_detach()?, context)?;
        Ok(model.f_mean(None::<Kind>)?.f_sub(&data)?)
    }
}

impl Objective<dyn Density> for ContrastiveLikelihood {
    fn loss(&self, model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        let rows = batch.data.size().first().copied().unwrap_or_default();
        let samples = model.sample(rows, batch.context.as_ref())?;
        Ok(Loss { value: Self::loss_at(model, batch, &samples)?, metrics: Vec::new() })
    }
}
