//! Maximum likelihood.

use maxlik_model::{Batch, Density, Loss, Objective};
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// `−Σᵢ wᵢ ln p(xᵢ | cᵢ) / Σᵢ wᵢ`, in nats; without weights the mean over the batch.
///
/// Its minimiser over all densities is the (weighted) data distribution, and its excess over the
/// minimum is `KL(data ‖ model)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct MaximumLikelihood;

impl MaximumLikelihood {
    /// The weighted mean of negative log-probabilities `[B]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for weights that are not `[B]`.
    pub fn loss_at(log_prob: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
        let Some(weight) = weight else {
            return Ok(-log_prob.f_mean(None::<Kind>)?);
        };
        check::shape("weight", weight, &log_prob.size())?;
        check::alike("weight", weight, log_prob)?;
        Ok(-(log_prob.f_mul(weight)?.f_sum(None::<Kind>)? / weight.f_sum(None::<Kind>)?))
    }
}

impl Objective<dyn Density> for MaximumLikelihood {
    fn loss(&self, model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        if batch.data.size().first() == Some(&0) {
            return Err(Error::shape("data", "a batch of at least one row", &batch.data.size()));
        }
        let log_prob = model.log_prob(&batch.data, batch.context.as_ref())?;
        let value = Self::loss_at(&log_prob, batch.weight.as_ref())?;
        Ok(Loss { value, metrics: Vec::new() })
    }
}
