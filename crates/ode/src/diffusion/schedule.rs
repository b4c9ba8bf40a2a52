//! Noising processes with linear drift.

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use tch::Tensor;

/// `dx = a(t) x dt + g(t) dW` for `t` in `[0, 1]`, so that `x_t | x₀ ~ N(α x₀, σ² I)` (Song,
/// Sohl-Dickstein, Kingma, Kumar, Ermon and Poole 2021, "Score-based generative modeling through
/// stochastic differential equations", arXiv:2011.13456, eqs. 9–13).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// `a = −β/2`, `g² = β`, `β = β₀ + (β₁ − β₀) t`; `α² + σ² = 1`.
    VariancePreserving {
        /// `β₀`.
        beta_min: f64,
        /// `β₁`.
        beta_max: f64,
    },
    /// `α = cos φ`, `σ = sin φ` with the angle `φ = ½π e t` (Nichol and Dhariwal 2021, "Improved denoising
    /// diffusion probabilistic models", arXiv:2102.09672, eq. 17, without the offset at the data):
    /// `a = −φ' tan φ`, `g² = 2 φ' tan φ`.
    Cosine {
        /// `e`, the part of the quarter turn that is made, below 1: at 1 no data is left.
        end: f64,
    },
    /// The same drift as the first with `g² = β (1 − α⁴)`; `σ = 1 − α²`.
    SubVariancePreserving {
        /// `β₀`.
        beta_min: f64,
        /// `β₁`.
        beta_max: f64,
    },
    /// `a = 0`, `σ² = s₀² ((s₁/s₀)²ᵗ − 1)`, `g² = dσ²/dt`; `α = 1`.
    VarianceExploding {
        /// `s₀`.
        sigma_min: f64,
        /// `s₁`.
        sigma_max: f64,
    },
}

impl Schedule {
    /// The linear schedule of the paper, `β` from 0.1 to 20.
    pub const LINEAR: Self = Self::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that are not positive and rising.
    pub fn check(self) -> Result<()> {
        let (name, low, high) = match self {
            Self::Cosine { end } => {
                if end > 0.0 && end < 1.0 {
                    return Ok(());
                }
                return Err(Error::config("end", format!("expected 0 < end < 1, got {end}")));
            }
            Self::VariancePreserving { beta_min, beta_max }
            | Self::SubVariancePreserving { beta_min, beta_max } => {
                ("beta_min", beta_min, beta_max)
            }
            Self::VarianceExploding { sigma_min, sigma_max } => ("sigma_min", sigma_min, sigma_max),
        };
        if low > 0.0 && low <= high && high.is_finite() {
            return Ok(());
        }
        Err(Error::config(name, format!("expected 0 < least ≤ greatest, got {low} and {high}")))
    }

    /// `a(t)`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn drift_rate(self, t: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::VarianceExploding { .. } => t.f_zeros_like()?,
            _ => self.beta(t)?.f_mul_scalar(-0.5)?,
        })
    }

    /// `g(t)²`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn noise_rate(self, t: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::VariancePreserving { .. } | Self::Cosine { .. } => self.beta(t)?,
            Self::SubVariancePreserving { .. } => {
                // 1 − α⁴ = −expm1(4 ln α).
                let rest = self.log_alpha(t)?.f_mul_scalar(4.0)?.f_expm1()?.f_neg()?;
                self.beta(t)?.f_mul(&rest)?
            }
            Self::VarianceExploding { sigma_min, sigma_max } => {
                let rate = 2.0 * (sigma_max / sigma_min).ln();
                t.f_mul_scalar(rate)?.f_exp()?.f_mul_scalar(rate * sigma_min * sigma_min)?
            }
        })
    }

    /// `α(t)`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn alpha(self, t: &Tensor) -> Result<Tensor> {
        Ok(self.log_alpha(t)?.f_exp()?)
    }

    /// `σ(t)`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn sigma(self, t: &Tensor) -> Result<Tensor> {
        let rest =
            |t| -> Result<Tensor> { Ok(self.log_alpha(t)?.f_mul_scalar(2.0)?.f_expm1()?.f_neg()?) };
        Ok(match self {
            Self::Cosine { end } => t.f_mul_scalar(FRAC_PI_2 * end)?.f_sin()?,
            Self::VariancePreserving { .. } => rest(t)?.f_sqrt()?,
            Self::SubVariancePreserving { .. } => rest(t)?,
            Self::VarianceExploding { sigma_min, sigma_max } => {
                let rate = 2.0 * (sigma_max / sigma_min).ln();
                t.f_mul_scalar(rate)?.f_expm1()?.f_sqrt()?.f_mul_scalar(sigma_min)?
            }
        })
    }

    /// Standard deviation of the density that the process ends in: 1, or `σ(1)` where the variance
    /// explodes.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn prior_std(self) -> Result<f64> {
        match self {
            Self::VarianceExploding { .. } => {
                maxlik_tensor::host::scalar(&self.sigma(&Tensor::f_from_slice(&[1.0_f64])?)?)
            }
            _ => Ok(1.0),
        }
    }

    /// `γ(t) = ln(σ²/α²)`; [`Schedule::time_of`] of `−γ/2` is its inverse.
    #[must_use]
    pub fn gamma(self, t: f64) -> f64 {
        let (least, greatest) = self.betas();
        let integral = t * (least + 0.5 * (greatest - least) * t);
        match self {
            Self::Cosine { end } => 2.0 * (FRAC_PI_2 * end * t).tan().ln(),
            Self::VariancePreserving { .. } => integral.exp_m1().ln(),
            // σ/α = 2 sinh(½ ∫ β).
            Self::SubVariancePreserving { .. } => 2.0 * (2.0 * (0.5 * integral).sinh()).ln(),
            Self::VarianceExploding { sigma_min, sigma_max } => {
                let rate = 2.0 * (sigma_max / sigma_min).ln();
                (sigma_min * sigma_min * (rate * t).exp_m1()).ln()
            }
        }
    }

    fn beta(self, t: &Tensor) -> Result<Tensor> {
        if let Self::Cosine { end } = self {
            let turn = FRAC_PI_2 * end;
            return Ok(t.f_mul_scalar(turn)?.f_tan()?.f_mul_scalar(2.0 * turn)?);
        }
        let (least, greatest) = self.betas();
        Ok(t.f_mul_scalar(greatest - least)?.f_add_scalar(least)?)
    }

    /// `ln α = −½ ∫ β`.
    fn log_alpha(self, t: &Tensor) -> Result<Tensor> {
        if let Self::Cosine { end } = self {
            return Ok(t.f_mul_scalar(FRAC_PI_2 * end)?.f_cos()?.f_log()?);
        }
        let (least, greatest) = self.betas();
        let slope = t.f_mul_scalar(0.5 * (greatest - least))?.f_add_scalar(least)?;
        Ok(slope.f_mul(t)?.f_mul_scalar(-0.5)?)
    }

    fn betas(self) -> (f64, f64) {
        match self {
            Self::VariancePreserving { beta_min, beta_max }
            | Self::SubVariancePreserving { beta_min, beta_max } => (beta_min, beta_max),
            Self::VarianceExploding { .. } | Self::Cosine { .. } => (0.0, 0.0),
        }
    }
}
