//! Diffusion ODEs in the log noise-to-signal ratio, with velocity prediction (i-DODE).

use crate::time::column;
use maxlik_model::VectorField;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A path `z = α x + σ ε` from data to noise, by `γ = ln(σ²/α²)` (Zheng, Lu, Chen and Zhu 2023,
/// "Improved techniques for maximum likelihood estimation for diffusion ODEs", arXiv:2305.03935,
/// sec. 4 and appendix B).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoisePath {
    /// `σ² = sigmoid(γ)`, `α² = sigmoid(−γ)`; the velocity is `F = α ε − σ x`.
    VariancePreserving,
    /// `σ = sigmoid(γ/2)`, `α = 1 − σ`; the velocity is `F = (ε − x)/√2`.
    Straight,
}

/// `α` and `σ` at some `γ`.
#[derive(Debug)]
pub struct Levels {
    /// Weight of the data.
    pub alpha: Tensor,
    /// Weight of the noise.
    pub sigma: Tensor,
}

impl NoisePath {
    /// `α(γ)` and `σ(γ)`, both from sigmoids, so that neither loses digits.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn levels(self, gamma: &Tensor) -> Result<Levels> {
        let minus = gamma.f_neg()?;
        Ok(match self {
            Self::VariancePreserving => {
                Levels { alpha: minus.f_sigmoid()?.f_sqrt()?, sigma: gamma.f_sigmoid()?.f_sqrt()? }
            }
            Self::Straight => Levels {
                alpha: minus.f_mul_scalar(0.5)?.f_sigmoid()?,
                sigma: gamma.f_mul_scalar(0.5)?.f_sigmoid()?,
            },
        })
    }

    /// The velocity `F` of data `x` and noise `ε` `[b, …]` at `γ` `[b]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn velocity(self, x: &Tensor, noise: &Tensor, gamma: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::VariancePreserving => {
                let Levels { alpha, sigma } = self.levels(gamma)?;
                noise.f_mul(&column(&alpha, x)?)?.f_sub(&x.f_mul(&column(&sigma, x)?)?)?
            }
            Self::Straight => noise.f_sub(x)?.f_mul_scalar(std::f64::consts::FRAC_1_SQRT_2)?,
        })
    }

    /// The noise that a velocity `F` at `z` stands for: `α F + σ z`, or `√2 α F + z`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn noise(self, velocity: &Tensor, z: &Tensor, gamma: &Tensor) -> Result<Tensor> {
        let Levels { alpha, sigma } = self.levels(gamma)?;
        let scaled = velocity.f_mul(&column(&alpha, z)?)?;
        Ok(match self {
            Self::VariancePreserving => scaled.f_add(&z.f_mul(&column(&sigma, z)?)?)?,
            Self::Straight => scaled.f_mul_scalar(std::f64::consts::SQRT_2)?.f_add(z)?,
        })
    }

    /// `dz/dγ` in units of `F`: `α σ/2`, or `α σ/√2`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn rate(self, gamma: &Tensor) -> Result<Tensor> {
        let Levels { alpha, sigma } = self.levels(gamma)?;
        let factor = match self {
            Self::VariancePreserving => 0.5,
            Self::Straight => std::f64::consts::FRAC_1_SQRT_2,
        };
        Ok(alpha.f_mul(&sigma)?.f_mul_scalar(factor)?)
    }

    /// `Z = ∫ α² dγ` over `[g0, g1]`: with `γ` from [`NoisePath::sample`] the diffusion loss of the
    /// likelihood is `Z/2 · E ‖F* − F‖²` (variance preserving) or `Z · E ‖F* − F‖²` (straight).
    #[must_use]
    pub fn mass(self, g0: f64, g1: f64) -> f64 {
        match self {
            Self::VariancePreserving => (-g0).exp().ln_1p() - (-g1).exp().ln_1p(),
            Self::Straight => straight_mass(g1) - straight_mass(g0),
        }
    }

    /// Maps `q` in `[0, 1]` to `γ` in `[g0, g1]` so that uniform `q` have the density `∝ α²` in `γ`
    /// (importance sampling under likelihood weighting).
    ///
    /// # Errors
    /// [`Error::Config`] for an empty interval.
    pub fn sample(self, q: &[f64], g0: f64, g1: f64) -> Result<Vec<f64>> {
        if g0.is_nan() || g1.is_nan() || g0 >= g1 {
            return Err(Error::config("gamma", format!("expected g0 < g1, got {g0} and {g1}")));
        }
        let mass = self.mass(g0, g1);
        Ok(q.iter()
            .map(|q| match self {
                // ln((1 + e^{−g0}) e^{−Z q} − 1), with the difference taken where it is small.
                Self::VariancePreserving => {
                    let level = (-g0).exp().ln_1p() - mass * q;
                    -(level.exp_m1()).ln()
                }
                Self::Straight => bisect(g0, g1, straight_mass(g0) + mass * q),
            })
            .collect())
    }
}

/// `−2 (ln(1 + e^{−γ/2}) + 1/(1 + e^{−γ/2}))`, whose derivative is `α²` of the straight path.
fn straight_mass(gamma: f64) -> f64 {
    let tail = (-0.5 * gamma).exp();
    -2.0 * (tail.ln_1p() + 1.0 / (1.0 + tail))
}

/// The `γ` in `[low, high]` where the rising [`straight_mass`] has that value.
fn bisect(mut low: f64, mut high: f64, value: f64) -> f64 {
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if straight_mass(middle) < value {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// `dz/dγ = c(γ) F(γ, z)` for a network that predicts the velocity `F`; the time is `γ`, which the
/// data has at its least value.
#[derive(Debug)]
pub struct GammaOde<V> {
    /// The path.
    pub path: NoisePath,
    /// The network, given `γ` as its time.
    pub network: V,
}

impl<V: VectorField> VectorField for GammaOde<V> {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let velocity = self.network.velocity(t, x, context)?;
        Ok(velocity.f_mul(&column(&self.path.rate(t)?, x)?)?)
    }
}
