//! Tokens that should not come again.

use super::{Predictions, with_nll};
use maxlik_model::{Batch, LanguageModel, Loss, Objective};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Cross-entropy with token-level unlikelihood: `l_t = −ln q(y_t) − α Σ_{c ∈ C_t} ln(1 − q(c))`, where
/// `C_t = {y_1, …, y_{t−1}} ∖ {y_t}` are the earlier targets of the sequence (Welleck et al. 2020,
/// "Neural text generation with unlikelihood training", arXiv:1908.04319, section 5.1).
///
/// It makes several tensors of the size of the logits: for vocabularies of some thousand tokens.
#[derive(Debug, Clone, Copy)]
pub struct Unlikelihood {
    alpha: f64,
}

/// `1 − q` is kept above it, so that a repetition that is certain has a finite loss.
const FLOOR: f64 = 1e-6;

impl Unlikelihood {
    /// Unlikelihood of this weight.
    ///
    /// # Errors
    /// [`Error::Config`] for a negative weight.
    pub fn new(alpha: f64) -> Result<Self> {
        if alpha.is_nan() || alpha < 0.0 {
            return Err(Error::config("alpha", format!("expected at least 0, got {alpha}")));
        }
        Ok(Self { alpha })
    }

    /// The loss of each token, `[B, T]`.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn each(&self, at: &Predictions) -> Result<Tensor> {
        let likelihood = -at.log_prob()?;
        if self.alpha == 0.0 {
            return Ok(likelihood);
        }
        let targets = at.targets().f_unsqueeze(-1)?;
        let own = at.logits().f_zeros_like()?.f_scatter_value(-1, &targets, 1.0)?;
        let before = own.f_cumsum(1, None::<Kind>)?.f_sub(&own)?.f_gt(0.0)?;
        let candidates = before.f_logical_and(&own.f_eq(0.0)?)?;
        let q = at.logits().f_softmax(-1, None::<Kind>)?;
        let unlikely = (-q).f_clamp(-1.0 + FLOOR, 0.0)?.f_log1p()?;
        let sum = unlikely.f_mul(&candidates.f_to_kind(unlikely.kind())?)?.f_sum_dim_intlist(
            [-1_i64].as_slice(),
            false,
            None::<Kind>,
        )?;
        Ok(likelihood - sum * self.alpha)
    }

    /// The token mean.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn loss_at(&self, at: &Predictions) -> Result<Tensor> {
        at.mean(&self.each(at)?)
    }
}

impl Objective<dyn LanguageModel> for Unlikelihood {
    fn loss(&self, model: &(dyn LanguageModel + 'static), batch: &Batch) -> Result<Loss> {
        let at = Predictions::of(model, batch)?;
        with_nll(self.loss_at(&at)?, &at)
    }
}
