//! Logits beside the tokens that they are to predict.

use maxlik_model::{Batch, LanguageModel};
use maxlik_tensor::{Error, Result, check, vocabulary};
use std::cell::OnceCell;
use tch::{Kind, Tensor};

/// Logits beside the tokens that they are to predict, and how much each prediction counts.
#[derive(Debug)]
pub struct Predictions {
    logits: Tensor,
    targets: Tensor,
    weight: Tensor,
    /// Computed once, for the loss and for the metrics.
    log_prob: OnceCell<Tensor>,
}

impl Predictions {
    /// Logits `[B, T, V]`, targets `[B, T]` below `V`, and non-negative weights `[B, T]`: one for all
    /// where not given.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Kind`] for arguments that do not fit.
    pub fn new(logits: Tensor, targets: Tensor, weight: Option<Tensor>) -> Result<Self> {
        check::floating("logits", &logits)?;
        let size = logits.size();
        if size.len() != 3 {
            return Err(Error::shape("logits", "[B, T, V]", &size));
        }
        check::shape("targets", &targets, &size[..2])?;
        let weight = match weight {
            Some(weight) => {
                check::shape("weight", &weight, &size[..2])?;
                weight.f_to_kind(logits.kind())?
            }
            None => Tensor::f_ones(&size[..2], (logits.kind(), logits.device()))?,
        };
        Ok(Self { logits, targets, weight, log_prob: OnceCell::new() })
    }

    /// Those of a model for a batch of tokens `[B, T]` with weights `[B, T]`: `T − 1` in each row,
    /// since the first token is given.
    ///
    /// # Errors
    /// [`Error::Shape`] for sequences of fewer than two tokens, or weights of another
    /// shape; and those of the model.
    pub fn of(model: &dyn LanguageModel, batch: &Batch) -> Result<Self> {
        let tokens = &batch.data;
        let length = match tokens.size().as_slice() {
            &[_, length] if length >= 2 => length,
            size => return Err(Error::shape("tokens", "[B, T] with T at least 2", size)),
        };
        if let Some(weight) = &batch.weight {
            check::shape("weight", weight, &tokens.size())?;
        }
        let after = |x: &Tensor| x.f_narrow(1, 1, length - 1);
        let logits = model.logits(&tokens.f_narrow(1, 0, length - 1)?)?;
        Self::new(logits, after(tokens)?, batch.weight.as_ref().map(after).transpose()?)
    }

    /// `[B, T, V]`.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// `[B, T]`.
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// `[B, T]`, of the logits' dtype.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `ln q(y_t | y_<t)` of each target, `[B, T]`, in nats: one fused op with a gradient.
    ///
    /// # Errors
    /// [`Error::Config`] for a target that is not below `V`.
    pub fn log_prob(&self) -> Result<Tensor> {
        if let Some(known) = self.log_prob.get() {
            return Ok(known.shallow_clone());
        }
        let found = vocabulary::log_prob(&self.logits, &self.targets)?;
        self.remember(&found);
        Ok(found)
    }

    /// Keeps log-probabilities that came out of another op.
    pub(super) fn remember(&self, log_prob: &Tensor) {
        let _first = self.log_prob.set(log_prob.shallow_clone());
    }

    /// The weighted mean `Σ w x / Σ w` over all tokens of the batch; zero where nothing counts.
    ///
    /// # Errors
    /// [`Error::Shape`] for losses of another shape.
    pub fn mean(&self, each: &Tensor) -> Result<Tensor> {
        check::shape("losses", each, &self.weight.size())?;
        let total = self.weight.f_sum(None::<Kind>)?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
        Ok(each.f_mul(&self.weight)?.f_sum(None::<Kind>)? / total)
    }

    /// `ln p(y)` of each sequence, `Σ_t w_t ln q(y_t | y_<t)`, `[B]`, in nats.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn sequence_log_prob(&self) -> Result<Tensor> {
        let weighted = self.log_prob()?.f_mul(&self.weight)?;
        Ok(weighted.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
    }
}
