//! Guidance: samples that are more typical of their context than the model's own.

use super::gaussian::TokenGaussian;
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// How a conditional is moved away from a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuidanceRule {
    /// `ln σ ← ln σ + w (ln σ − ln σᵤ)`, `μ ← μ + w (μ − μᵤ)` (TARFlow).
    Extrapolate,
    /// The normalised `N(μ, σ²)^{1+w} N(μᵤ, σᵤ²)^{−w}`, exact where `σ ≤ σᵤ` (STARFlow): with
    /// `s = min(1, σ/σᵤ)²`, `σ ← σ / √(1 + w − w s)` and
    /// `μ ← ((1 + w) μ − w s μᵤ) / (1 + w − w s)`.
    #[default]
    Product,
}

/// Guidance of every token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guidance {
    /// The rule.
    #[serde(default)]
    pub rule: GuidanceRule,
    /// Strength `w`; zero changes nothing.
    pub weight: f64,
    /// Whether `w` grows linearly from zero at the first token to `weight` at the last.
    #[serde(default)]
    pub ramp: bool,
}

/// What guidance moves away from.
#[derive(Debug)]
pub enum Reference {
    /// The model at another context `[B, K]`; rows of `1/K` stand for the mean of `K` classes.
    Context(Tensor),
    /// The same model and context with attention blurred by a temperature: for models without a
    /// context.
    Attention {
        /// Divides the attention's logits.
        temperature: f64,
    },
}

impl Guidance {
    /// The guided conditional of token `token` of `tokens`.
    ///
    /// # Errors
    /// LibTorch's, for shapes that differ.
    pub fn combine(
        &self,
        given: &TokenGaussian,
        reference: &TokenGaussian,
        token: i64,
        tokens: i64,
    ) -> Result<TokenGaussian> {
        let part = if self.ramp { token as f64 / (tokens - 1).max(1) as f64 } else { 1.0 };
        let w = self.weight * part;
        let ratio = given.log_std.f_sub(&reference.log_std)?;
        match self.rule {
            GuidanceRule::Extrapolate => Ok(TokenGaussian {
                mean: &given.mean + given.mean.f_sub(&reference.mean)? * w,
                log_std: &given.log_std + ratio * w,
            }),
            GuidanceRule::Product => {
                let s = (ratio.f_clamp_max(0.0)? * 2.0).f_exp()?;
                let precision = &s * -w + (1.0 + w);
                let mean = &given.mean * (1.0 + w) - &s * w * &reference.mean;
                Ok(TokenGaussian {
                    mean: mean / &precision,
                    log_std: &given.log_std - precision.f_log()? * 0.5,
                })
            }
        }
    }
}
