//! `summary.json`.

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the recipe.
    pub name: String,
    /// Root seed.
    pub seed: u64,
    /// Steps of training.
    pub steps: u64,
    /// Seconds of training, evaluations during it included.
    pub train_seconds: f64,
    /// Results by name, such as `test_nll_nats` and `test_bits_per_dim`.
    pub metrics: BTreeMap<String, f64>,
}

impl Summary {
    /// Checks that JSON can hold every number.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the metric.
    pub(super) fn check(&self) -> Result<()> {
        let seconds = std::iter::once(("train_seconds", self.train_seconds));
        let metrics = self.metrics.iter().map(|(name, value)| (name.as_str(), *value));
        match seconds.chain(metrics).find(|(_, value)| !value.is_finite()) {
            Some((name, _)) => Err(Error::NonFinite { what: name.to_owned() }),
            None => Ok(()),
        }
    }
}
