//! Learning-rate schedules.

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run.
///
/// With `n` the step (from 0), `N` all steps and `w` the warm-up steps, the rate is
/// `lr · min(1, (n+1)/w) · s(p)`, where `p = clamp((n − w)/(N − w − 1), 0, 1)` is the progress after the
/// warm-up (so that the last step has `p = 1`) and `f` is `final`:
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// `s = 1`.
    Constant {
        /// Steps of linear warm-up.
        #[serde(default)]
        warmup: u64,
    },
    /// `s = f + (1 − f) (1 + cos πp)/2` (Loshchilov and Hutter 2017, "SGDR", arXiv:1608.03983,
    /// equation 5, without restarts).
    Cosine {
        /// Steps of linear warm-up.
        #[serde(default)]
        warmup: u64,
        /// Fraction of the rate at the last step.
        #[serde(default, rename = "final")]
        last: f64,
    },
    /// `s = 1 − (1 − f) p`.
    Linear {
        /// Steps of linear warm-up.
        #[serde(default)]
        warmup: u64,
        /// Fraction of the rate at the last step.
        #[serde(default, rename = "final")]
        last: f64,
    },
    /// `s = f^p`.
    Exponential {
        /// Steps of linear warm-up.
        #[serde(default)]
        warmup: u64,
        /// Fraction of the rate at the last step, above 0.
        #[serde(rename = "final")]
        last: f64,
    },
    /// `s = √(w / max(n + 1, w))`, independent of `N` (Vaswani et al. 2017, "Attention is all you need",
    /// arXiv:1706.03762, equation 3, scaled to 1 at its peak).
    InverseSqrt {
        /// Steps of linear warm-up, at least 1.
        warmup: u64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Constant { warmup: 0 }
    }
}

impl Schedule {
    /// The learning rate's factor at step `n` of `steps`.
    #[must_use]
    pub fn factor(&self, n: u64, steps: u64) -> f64 {
        let warmup = self.warmup();
        if n < warmup {
            return (n + 1) as f64 / warmup as f64;
        }
        let length = steps.saturating_sub(warmup).saturating_sub(1).max(1);
        let p = ((n - warmup) as f64 / length as f64).min(1.0);
        match *self {
            Self::Constant { .. } => 1.0,
            Self::Cosine { last, .. } => {
                last + (1.0 - last) * 0.5 * (1.0 + (std::f64::consts::PI * p).cos())
            }
            Self::Linear { last, .. } => 1.0 - (1.0 - last) * p,
            Self::Exponential { last, .. } => last.powf(p),
            Self::InverseSqrt { warmup } => {
                (warmup.max(1) as f64 / ((n + 1).max(warmup) as f64)).sqrt()
            }
        }
    }

    /// Checks the values; `field` is the schedule's path in the configuration.
    ///
    /// # Errors
    /// [`Error::Config`] naming the value.
    pub fn check(&self, field: &str) -> Result<()> {
        let last = match *self {
            Self::Cosine { last, .. } | Self::Linear { last, .. } => last,
            Self::Exponential { last: 0.0, .. } => {
                let why = "expected a fraction above 0 for an exponential schedule, got 0";
                return Err(Error::config(format!("{field}.final"), why));
            }
            Self::Exponential { last, .. } => last,
            Self::InverseSqrt { warmup: 0 } => {
                let why = "expected at least 1 for an inverse_sqrt schedule, got 0";
                return Err(Error::config(format!("{field}.warmup"), why));
            }
            Self::Constant { .. } | Self::InverseSqrt { .. } => 1.0,
        };
        if (0.0..=1.0).contains(&last) {
            return Ok(());
        }
        let why = format!("expected a fraction between 0 and 1, got {last}");
        Err(Error::config(format!("{field}.final"), why))
    }

    fn warmup(&self) -> u64 {
        match *self {
            Self::Constant { warmup }
            | Self::Cosine { warmup, .. }
            | Self::Linear { warmup, .. }
            | Self::Exponential { warmup, .. }
            | Self::InverseSqrt { warmup } => warmup,
        }
    }
}
