//! Dropout that follows the model's mode.

use crate::{Mode, Scope};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// Sets entries to zero with probability `rate` while the model is trained, and scales the rest by
/// `1/(1 − rate)`.
#[derive(Debug, Clone)]
pub struct Dropout {
    rate: f64,
    mode: Mode,
}

impl Dropout {
    /// Dropout at this rate.
    ///
    /// # Errors
    /// [`Error::Config`] for a rate outside `[0, 1)`.
    pub fn new(scope: &Scope<'_>, rate: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&rate) {
            return Err(Error::config("dropout", format!("expected a rate in [0, 1), got {rate}")));
        }
        Ok(Self { rate, mode: scope.mode() })
    }

    /// Whether it does anything now.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.rate > 0.0 && self.mode.is_training()
    }

    /// Applies it; the identity in evaluation and at rate zero.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !self.is_active() {
            return Ok(x.shallow_clone());
        }
        Ok(x.f_dropout(self.rate, true)?)
    }
}
