//! Probabilities of discrete data from densities: dequantization and its bounds.

use crate::trace::event_sum;
use maxlik_model::Density;
use maxlik_tensor::{Error, Result};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2, TAU};
use tch::{Kind, Tensor};

/// How a value becomes a point of its bin.
#[derive(Debug)]
pub enum Dequantization {
    /// Uniform in the bin (Theis, van den Oord and Bethge 2016, "A note on the evaluation of
    /// generative models", arXiv:1511.01844).
    Uniform,
    /// Normal noise of the density's own first level, cut off at the bin's ends: a part of the
    /// noising process, so that a diffusion ODE sees what it was trained on (Zheng et al. 2023,
    /// arXiv:2305.03935, sec. 4.2).
    TruncatedNormal,
    /// `u = h (2 sigmoid(v) − 1)` with `v` from a density conditioned on the value (Ho, Chen,
    /// Srinivas, Duan and Abbeel 2019, "Flow++", arXiv:1902.00275, eq. 12).
    Variational(Box<dyn Density>),
}

/// Turns data on a grid into points `z = α x + noise` with their log-density `ln q(z | x)`.
#[derive(Debug)]
pub struct Dequantizer {
    how: Dequantization,
    alpha: f64,
    sigma: f64,
    half: f64,
}

/// Points with their log-density.
#[derive(Debug)]
pub struct Dequantized {
    /// `z`, of the shape of `x`.
    pub value: Tensor,
    /// `ln q(z | x)`, `[B]`, in nats.
    pub log_prob: Tensor,
}

/// A bound on `ln P(x)` of discrete data.
#[derive(Debug)]
pub struct Bound {
    /// `ln (1/K) Σₖ p(zₖ)/q(zₖ | x) ≤ ln P(x)` in expectation, `[B]`, in nats.
    pub log_prob: Tensor,
}

impl Bound {
    /// Bits for each dimension of events with `d` of them.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn bits_per_dim(&self, d: i64) -> Result<Tensor> {
        Ok(self.log_prob.f_mul_scalar(-1.0 / (d as f64 * std::f64::consts::LN_2))?)
    }
}

impl Dequantizer {
    /// For data on a grid with bins `x ± half`, and a density of `z = α x + …` whose first noise
    /// level is `sigma`. Densities of plain data have `alpha = 1`, and `sigma` matters for
    /// [`Dequantization::TruncatedNormal`] only.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that are not positive.
    pub fn new(how: Dequantization, alpha: f64, sigma: f64, half: f64) -> Result<Self> {
        for (name, value) in [("alpha", alpha), ("sigma", sigma), ("half", half)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(
                    name,
                    format!("expected a positive number, got {value}"),
                ));
            }
        }
        Ok(Self { how, alpha, sigma, half })
    }

    /// `τ = α h/σ`: half a bin in units of the noise.
    #[must_use]
    pub fn tau(&self) -> f64 {
        self.alpha * self.half / self.sigma
    }

    /// Entropy of the truncated normal noise for each dimension, in nats:
    /// `½ (1 + ln 2πσ²) + ln Z − τ e^{−τ²/2}/(√(2π) Z)`, `Z = erf(τ/√2)`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn truncated_entropy(&self) -> Result<f64> {
        let (tau, z) = (self.tau(), self.truncated_mass()?);
        let edge = tau * (-0.5 * tau * tau).exp() / (TAU.sqrt() * z);
        Ok(0.5 * (1.0 + (TAU * self.sigma * self.sigma).ln()) + z.ln() - edge)
    }

    /// `Z = erf(τ/√2)`.
    fn truncated_mass(&self) -> Result<f64> {
        maxlik_tensor::host::scalar(&Tensor::f_from_slice(&[self.tau() * FRAC_1_SQRT_2])?.f_erf()?)
    }

    /// Draws a point for each row of `x` `[B, …]`, from LibTorch's generator.
    ///
    /// # Errors
    /// Those of the density of [`Dequantization::Variational`].
    pub fn draw(&self, x: &Tensor) -> Result<Dequantized> {
        match &self.how {
            Dequantization::Variational(density) => {
                let rows = x.size()[0];
                let sampled = density.rsample_and_log_prob(rows, Some(x))?;
                let v = sampled.value;
                let unit = v.f_sigmoid()?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
                // du/dv = 2 α h sigmoid(v) sigmoid(−v).
                let slope = v.f_log_sigmoid()?.f_add(&v.f_neg()?.f_log_sigmoid()?)?;
                let slope = slope.f_add_scalar((2.0 * self.alpha * self.half).ln())?;
                Ok(Dequantized {
                    value: self.place(x, &unit, self.alpha * self.half)?,
                    log_prob: sampled.log_prob.f_sub(&event_sum(&slope)?)?,
                })
            }
            _ => self.draw_at(x, &x.f_rand_like()?),
        }
    }

    /// As [`Dequantizer::draw`], for uniform numbers `u` in `[0, 1)` of the shape of `x`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for [`Dequantization::Variational`], whose noise is its density's.
    pub fn draw_at(&self, x: &Tensor, u: &Tensor) -> Result<Dequantized> {
        let centred = u.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?;
        match &self.how {
            Dequantization::Uniform => {
                let width = 2.0 * self.alpha * self.half;
                let each = x.f_full_like(-width.ln())?;
                Ok(Dequantized {
                    value: self.place(x, &centred, self.alpha * self.half)?,
                    log_prob: event_sum(&each)?,
                })
            }
            Dequantization::TruncatedNormal => {
                let mass = self.truncated_mass()?;
                // In double precision: the inverse of erf is steep near its ends.
                let noise = centred.f_to_kind(Kind::Double)?.f_mul_scalar(mass)?.f_erfinv()?;
                let noise = noise.f_mul_scalar(SQRT_2)?.f_to_kind(x.kind())?;
                let constant = -0.5 * TAU.ln() - self.sigma.ln() - mass.ln();
                let each = noise.f_square()?.f_mul_scalar(-0.5)?.f_add_scalar(constant)?;
                Ok(Dequantized {
                    value: self.place(x, &noise, self.sigma)?,
                    log_prob: event_sum(&each)?,
                })
            }
            Dequantization::Variational(_) => {
                Err(Error::unsupported("given noise for variational dequantization"))
            }
        }
    }

    fn place(&self, x: &Tensor, noise: &Tensor, scale: f64) -> Result<Tensor> {
        Ok(x.f_mul_scalar(self.alpha)?.f_add(&noise.f_mul_scalar(scale)?)?)
    }

    /// The bound on `ln P(x)` with `samples` points for each row: for one, the evidence lower bound;
    /// for more, the tighter importance-weighted one (Burda, Grosse and Salakhutdinov 2016,
    /// arXiv:1509.00519).
    ///
    /// # Errors
    /// [`Error::Config`] for no samples, and those of the density.
    pub fn bound(
        &self,
        density: &dyn Density,
        x: &Tensor,
        context: Option<&Tensor>,
        samples: i64,
    ) -> Result<Bound> {
        if samples < 1 {
            return Err(Error::config("samples", format!("expected at least one, got {samples}")));
        }
        let each = (0..samples).map(|_| {
            let point = self.draw(x)?;
            Ok(density.log_prob(&point.value, context)?.f_sub(&point.log_prob)?)
        });
        let weights = Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?;
        let total = weights.f_logsumexp([0_i64].as_slice(), false)?;
        Ok(Bound { log_prob: total.f_sub_scalar((samples as f64).ln())? })
    }
}
