//! Paths between noise and data by two coefficients.

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use tch::Tensor;

/// `x_t = α(t) x₁ + σ(t) ε` from noise `ε ~ N(0, I)` at `t = 0` to data `x₁` at `t = 1`, whose velocity
/// is `α̇ x₁ + σ̇ ε`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Interpolant {
    /// `α = t`, `σ = 1 − t`: rectified flow.
    Linear {},
    /// `α = sin(πt/2)`, `σ = cos(πt/2)` (Albergo and Vanden-Eijnden 2023, arXiv:2209.15571; the
    /// cosine schedule of diffusion models).
    Trigonometric {},
    /// Variance-preserving diffusion with time reversed, `s = 1 − t`: `α = exp(−½ B(s))`,
    /// `σ = √(1 − α²)`, `B(s) = β₀ s + ½ (β₁ − β₀) s²` (Lipman et al. 2023, arXiv:2210.02747, eq. 19).
    Diffusion {
        /// `β₀`.
        beta_min: f64,
        /// `β₁`.
        beta_max: f64,
    },
}

/// The coefficients of an [`Interpolant`] and their slopes at some times, each `[B]`.
#[derive(Debug)]
pub struct Level {
    /// `α`.
    pub alpha: Tensor,
    /// `σ`.
    pub sigma: Tensor,
    /// `dα/dt`.
    pub alpha_rate: Tensor,
    /// `dσ/dt`.
    pub sigma_rate: Tensor,
}

impl Interpolant {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a `β` that is not positive and rising.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Diffusion { beta_min, beta_max }
                if !(beta_min > 0.0 && beta_min <= beta_max && beta_max.is_finite()) =>
            {
                let why = format!("expected 0 < β₀ ≤ β₁, got {beta_min} and {beta_max}");
                Err(Error::config("beta_min", why))
            }
            _ => Ok(()),
        }
    }

    /// The coefficients at `t`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn level(self, t: &Tensor) -> Result<Level> {
        Ok(match self {
            Self::Linear {} => Level {
                alpha: t.shallow_clone(),
                sigma: 1.0 - t,
                alpha_rate: t.f_ones_like()?,
                sigma_rate: t.f_full_like(-1.0)?,
            },
            Self::Trigonometric {} => {
                let angle = t * FRAC_PI_2;
                let (sin, cos) = (angle.f_sin()?, angle.f_cos()?);
                Level {
                    alpha_rate: &cos * FRAC_PI_2,
                    sigma_rate: &sin * -FRAC_PI_2,
                    alpha: sin,
                    sigma: cos,
                }
            }
            Self::Diffusion { beta_min, beta_max } => {
                let s: Tensor = 1.0 - t;
                let beta = &s * (beta_max - beta_min) + beta_min;
                let integral = (&s * (0.5 * (beta_max - beta_min)) + beta_min) * &s;
                let alpha = (&integral * -0.5).f_exp()?;
                let sigma = integral.f_neg()?.f_expm1()?.f_neg()?.f_sqrt()?;
                // dα/dt = ½ β α as s falls with t; α α̇ + σ σ̇ = 0.
                let alpha_rate = &alpha * &beta * 0.5;
                let sigma_rate = (&alpha * &alpha_rate / &sigma).f_neg()?;
                Level { alpha, sigma, alpha_rate, sigma_rate }
            }
        })
    }
}
