//! The section `optim` of a configuration.

use crate::Schedule;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a model is trained: AdamW, its schedule, averaging, and how often what is done.
///
/// In TOML `inf` switches `clip` off; 0 switches the other options off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimConfig {
    /// Steps of training.
    pub steps: u64,
    /// Samples in a batch.
    pub batch: usize,
    /// Parts in which a batch goes through the model, one after another, with their gradients added: the
    /// step is the same where the loss is a mean over samples, and memory is that of one part.
    pub accumulate: usize,
    /// Learning rate at the schedule's peak.
    pub lr: f64,
    /// Decoupled weight decay; with 0 the optimizer is Adam.
    pub weight_decay: f64,
    /// Decay of the means of gradients and of their squares.
    pub betas: [f64; 2],
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Largest Euclidean norm of all gradients together; larger ones are scaled to it.
    pub clip: f64,
    /// Decay of the average of weights that is evaluated and kept as the best; 0 for none.
    pub ema: f64,
    /// Steps between two validations; 0 for one at the end.
    pub eval_every: u64,
    /// Validations without improvement after which training stops; 0 for never.
    pub patience: u64,
    /// Steps between two checkpoints; 0 for one at the end.
    pub checkpoint_every: u64,
    /// Steps that a line of metrics averages over.
    pub log_every: u64,
    /// How the learning rate changes.
    pub schedule: Schedule,
}

impl Default for OptimConfig {
    fn default() -> Self {
        Self {
            steps: 5_000,
            batch: 256,
            accumulate: 1,
            lr: 1e-3,
            weight_decay: 0.0,
            betas: [0.9, 0.999],
            eps: 1e-8,
            clip: f64::INFINITY,
            ema: 0.0,
            eval_every: 250,
            patience: 0,
            checkpoint_every: 500,
            log_every: 50,
            schedule: Schedule::default(),
        }
    }
}

impl OptimConfig {
    /// Checks all values; errors call this section `optim`.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first value that cannot be used, and what would be right.
    pub fn check(&self) -> Result<()> {
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let decay = |x: f64| (0.0..1.0).contains(&x);
        let rules = [
            ("steps", self.steps >= 1, "at least 1", self.steps.to_string()),
            ("batch", self.batch >= 1, "at least 1", self.batch.to_string()),
            (
                "accumulate",
                (1..=self.batch).contains(&self.accumulate),
                "from 1 to batch",
                self.accumulate.to_string(),
            ),
            ("lr", positive(self.lr), "a finite number above 0", self.lr.to_string()),
            (
                "weight_decay",
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "a finite number of at least 0",
                self.weight_decay.to_string(),
            ),
            (
                "betas",
                self.betas.iter().all(|&b| decay(b)),
                "two numbers from 0 to below 1",
                format!("{:?}", self.betas),
            ),
            ("eps", positive(self.eps), "a finite number above 0", self.eps.to_string()),
            ("clip", self.clip > 0.0, "a number above 0, or inf for none", self.clip.to_string()),
            ("ema", decay(self.ema), "a number from 0 to below 1", self.ema.to_string()),
            ("log_every", self.log_every >= 1, "at least 1", self.log_every.to_string()),
        ];
        for (name, holds, expected, got) in rules {
            if !holds {
                let why = format!("expected {expected}, got {got}");
                return Err(Error::config(format!("optim.{name}"), why));
            }
        }
        self.schedule.check("optim.schedule")
    }

    /// The learning rate of step `n`.
    #[must_use]
    pub fn rate(&self, n: u64) -> f64 {
        self.lr * self.schedule.factor(n, self.steps)
    }
}
