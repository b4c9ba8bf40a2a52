//! Maximum likelihood of tokens.

use super::Predictions;
use maxlik_model::{Batch, LanguageModel, Loss, Objective};
use maxlik_tensor::Result;
use tch::Tensor;

/// Maximum likelihood: `l_t = −ln q(y_t | y_<t)`, in nats per token.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropy;

impl CrossEntropy {
    /// The loss of each token, `[B, T]`.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn each(&self, at: &Predictions) -> Result<Tensor> {
        Ok(-at.log_prob()?)
    }

    /// The token mean.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn loss_at(&self, at: &Predictions) -> Result<Tensor> {
        at.mean(&self.each(at)?)
    }
}

impl Objective<dyn LanguageModel> for CrossEntropy {
    fn loss(&self, model: &(dyn LanguageModel + 'static), batch: &Batch) -> Result<Loss> {
        let value = self.loss_at(&Predictions::of(model, batch)?)?;
        Ok(Loss { value, metrics: Vec::new() })
    }
}
