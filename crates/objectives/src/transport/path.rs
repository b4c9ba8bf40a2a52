//! Conditional probability paths.

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;
use tch::Tensor;

/// A Gaussian path `x_t = μ_t + σ_t ε` between `x₀` (noise, or any source) and `x₁` (data), and the
/// velocity that carries its law (Tong et al. 2024, "Improving and generalizing flow-based generative
/// models with minibatch optimal transport", arXiv:2302.00482, theorem 2.1):
/// `u_t = μ̇_t + (σ̇_t/σ_t)(x_t − μ_t)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Path {
    /// `μ = (1−t) x₀ + t x₁`, `σ` constant; `u = x₁ − x₀` (eqs. 14–15). With independent `x₀` this is
    /// I-CFM, with optimally paired ones OT-CFM, and with `σ = 0` rectified flow.
    Straight {
        /// The constant `σ`.
        sigma: f64,
    },
    /// `μ = t x₁`, `σ_t = 1 − (1−σ) t`; `u = (x₁ − (1−σ) x)/(1 − (1−σ) t)` (Lipman et al. 2023, "Flow
    /// matching for generative modeling", arXiv:2210.02747, eqs. 20–21). The source is the standard
    /// normal `ε` itself; `x₀` does not enter.
    Target {
        /// The standard deviation at `t = 1`.
        sigma: f64,
    },
    /// `μ = cos(πt/2) x₀ + sin(πt/2) x₁`, `σ` constant (Albergo and Vanden-Eijnden 2023,
    /// arXiv:2209.15571).
    VariancePreserving {
        /// The constant `σ`.
        sigma: f64,
    },
    /// `μ = (1−t) x₀ + t x₁`, `σ_t = σ √(t(1−t))`: the Brownian bridge, whose marginals solve the
    /// Schrödinger bridge problem when the pairs are entropically optimal with `ε = 2σ²` (eqs. 18–19).
    Bridge {
        /// The diffusion `σ`.
        sigma: f64,
    },
}

/// A point of a path and the velocity there.
#[derive(Debug)]
pub struct Point {
    /// `x_t`.
    pub x: Tensor,
    /// `u_t(x_t)`.
    pub velocity: Tensor,
}

impl Path {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a `σ` that is negative, or zero where the path divides by it.
    pub fn check(&self) -> Result<()> {
        let (sigma, positive) = match *self {
            Self::Straight { sigma } | Self::VariancePreserving { sigma } => (sigma, false),
            Self::Target { sigma } | Self::Bridge { sigma } => (sigma, true),
        };
        if sigma.is_finite() && (sigma > 0.0 || (sigma == 0.0 && !positive)) {
            return Ok(());
        }
        let wanted = if positive { "a positive number" } else { "a number of at least 0" };
        Err(Error::config("sigma", format!("expected {wanted}, got {sigma}")))
    }

    /// `σ_t`, of the shape of `t`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn std(&self, t: &Tensor) -> Result<Tensor> {
        Ok(match *self {
            Self::Straight { sigma } | Self::VariancePreserving { sigma } => {
                t.f_full_like(sigma)?
            }
            Self::Target { sigma } => 1.0 - t * (1.0 - sigma),
            Self::Bridge { sigma } => t.f_sub(&t.f_square()?)?.f_sqrt()? * sigma,
        })
    }

    /// The point at `t` `[B]` for ends `x₀`, `x₁` and noise `ε`, all `[B, …]`.
    ///
    /// # Errors
    /// LibTorch's, for shapes that do not fit.
    pub fn at(&self, t: &Tensor, x0: &Tensor, x1: &Tensor, noise: &Tensor) -> Result<Point> {
        let mut shape = vec![1; x1.dim()];
        shape[0] = x1.size()[0];
        let t = t.f_reshape(shape.as_slice())?;
        Ok(match *self {
            Self::Straight { sigma } => {
                let velocity = x1 - x0;
                let x = x0 + &t * &velocity;
                Point { x: if sigma > 0.0 { x + noise * sigma } else { x }, velocity }
            }
            Self::Target { sigma } => {
                let x = &t * x1 + noise * (1.0 - &t * (1.0 - sigma));
                // ẋ_t for fixed ε: the quotient above without its division.
                Point { x, velocity: x1 - noise * (1.0 - sigma) }
            }
            Self::VariancePreserving { sigma } => {
                let angle = &t * FRAC_PI_2;
                let (sin, cos) = (angle.f_sin()?, angle.f_cos()?);
                let x = &cos * x0 + &sin * x1;
                let velocity = (&cos * x1 - &sin * x0) * FRAC_PI_2;
                Point { x: if sigma > 0.0 { x + noise * sigma } else { x }, velocity }
            }
            Self::Bridge { sigma } => {
                let rest: Tensor = 1.0 - &t;
                let std = (&t * &rest).f_sqrt()? * sigma;
                let straight = x1 - x0;
                let x = x0 + &t * &straight + &std * noise;
                // (1−2t)/(2t(1−t)) · σ_t ε, in the form that stays finite for t in (0, 1).
                let turn = (1.0 - &t * 2.0) * sigma / ((&t * &rest).f_sqrt()? * 2.0);
                Point { x, velocity: straight + turn * noise }
            }
        })
    }
}
