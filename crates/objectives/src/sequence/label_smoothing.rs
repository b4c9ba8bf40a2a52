//! Smoothed targets.

use super::{Predictions, with_nll};
use maxlik_model::{Batch, LanguageModel, Loss, Objective};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Cross-entropy against `(1 − ε) 1[k = y] + ε/V` (Szegedy et al. 2016, arXiv:1512.00567, section 7).
///
/// `l_t = −(1 − ε) ln q_y − ε/V Σ_k ln q_k`; its gradient by the logits is `q` minus that target.
#[derive(Debug, Clone, Copy)]
pub struct LabelSmoothing {
    epsilon: f64,
}

impl LabelSmoothing {
    /// Smoothing by `ε`.
    ///
    /// # Errors
    /// [`Error::Config`] for a number outside `[0, 1]`.
    pub fn new(epsilon: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&epsilon) {
            let why = format!("expected a number in [0, 1], got {epsilon}");
            return Err(Error::config("epsilon", why));
        }
        Ok(Self { epsilon })
    }

    /// The loss of each token, `[B, T]`.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn each(&self, at: &Predictions) -> Result<Tensor> {
        if self.epsilon == 0.0 {
            return Ok(-at.log_prob()?);
        }
        let all = at.logits().f_log_softmax(-1, None::<Kind>)?;
        let own = all.f_gather(-1, &at.targets().f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
        let mean = all.f_mean_dim([-1_i64].as_slice(), false, None::<Kind>)?;
        Ok(own * (self.epsilon - 1.0) - mean * self.epsilon)
    }

    /// The token mean.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn loss_at(&self, at: &Predictions) -> Result<Tensor> {
        at.mean(&self.each(at)?)
    }
}

impl Objective<dyn LanguageModel> for LabelSmoothing {
    fn loss(&self, model: &(dyn LanguageModel + 'static), batch: &Batch) -> Result<Loss> {
        let at = Predictions::of(model, batch)?;
        with_nll(self.loss_at(&at)?, &at)
    }
}
