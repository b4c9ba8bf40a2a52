//! Forward and reverse cross-entropy, mixed.

use super::{Predictions, with_nll};
use maxlik_model::{Batch, LanguageModel, Loss, Objective};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// MixCE: `l_t = −(η + (1 − η) sg(q_t)) ln q_t` with `q_t = q(y_t | y_<t)` and `sg` a stop of the
/// gradient (Zhang et al. 2023, "MixCE: training autoregressive language models by mixing forward and
/// reverse cross-entropies", ACL 2023, arXiv:2305.16958, section 3).
///
/// The reverse cross-entropy `−E_Q[ln P]` needs the data's probability; with `P` in place of `ln P` its
/// gradient is that of `−E_P[Q]`, and so a likelihood whose tokens the model weighs by itself. The
/// gradient is that of `η (−ln q_t) + (1 − η)(1 − q_t)`, by the logits `(η + (1 − η) q_y)(q − 1[y])`;
/// the value is that of nothing in particular, so select models by the likelihood in the metrics.
///
/// Over a free distribution the optimum is not the data's but sharper: `Q_i = η P_i/(λ − (1 − η) P_i)`.
#[derive(Debug, Clone, Copy)]
pub struct MixCe {
    eta: f64,
}

impl MixCe {
    /// The share `η` of the forward cross-entropy: one is maximum likelihood.
    ///
    /// # Errors
    /// [`Error::Config`] for a number outside `[0, 1]`.
    pub fn new(eta: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&eta) {
            let why = format!("expected a number in [0, 1], got {eta}");
            return Err(Error::config("eta", why));
        }
        Ok(Self { eta })
    }

    /// The loss of each token, `[B, T]`.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn each(&self, at: &Predictions) -> Result<Tensor> {
        let log_prob = at.log_prob()?;
        if self.eta == 1.0 {
            return Ok(-log_prob);
        }
        let weight = log_prob.f_detach()?.f_exp()? * (1.0 - self.eta) + self.eta;
        Ok(-log_prob.f_mul(&weight)?)
    }

    /// The token mean.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn loss_at(&self, at: &Predictions) -> Result<Tensor> {
        at.mean(&self.each(at)?)
    }
}

impl Objective<dyn LanguageModel> for MixCe {
    fn loss(&self, model: &(dyn LanguageModel + 'static), batch: &Batch) -> Result<Loss> {
        let at = Predictions::of(model, batch)?;
        with_nll(self.loss_at(&at)?, &at)
    }
}
