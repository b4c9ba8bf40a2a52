//! What a network on a noise path predicts, and conversions between predictions.

use super::{Interpolant, Level, batch_mean, column, rows_of, square_norm};
use maxlik_model::{Batch, Loss, Objective, VectorField};
use maxlik_tensor::{Error, Result, check};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A quantity `a x₁ + b ε` of a point `x_t = α x₁ + σ ε` of an [`Interpolant`].
///
/// Any of them with `x_t` determines the ends wherever `Δ = α b − σ a` is not zero:
/// `x₁ = (b x_t − σ p)/Δ` and `ε = (α p − a x_t)/Δ`. As networks predict conditional means given
/// `x_t`, and these relations are linear, they hold for the means too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The velocity `α̇ x₁ + σ̇ ε`.
    Velocity,
    /// The data `x₁`; `Δ = −σ` is zero at the data.
    Data,
    /// The noise `ε`; `Δ = α` is zero at the noise.
    Noise,
    /// `v = α ε − σ x₁` (Salimans and Ho 2022, "Progressive distillation", arXiv:2202.00512, sec. 4);
    /// `Δ = α² + σ²` is never zero.
    Rotation,
    /// The score `−ε/σ`; infinite at the data.
    Score,
}

impl Prediction {
    /// `a` and `b`, each `[B]`.
    fn coefficients(self, level: &Level) -> Result<(Tensor, Tensor)> {
        let (zero, one) = (level.alpha.f_zeros_like()?, level.alpha.f_ones_like()?);
        Ok(match self {
            Self::Velocity => (level.alpha_rate.shallow_clone(), level.sigma_rate.shallow_clone()),
            Self::Data => (one, zero),
            Self::Noise => (zero, one),
            Self::Rotation => (level.sigma.f_neg()?, level.alpha.shallow_clone()),
            Self::Score => (zero, level.sigma.f_reciprocal()?.f_neg()?),
        })
    }

    fn delta(self, level: &Level) -> Result<Tensor> {
        let (a, b) = self.coefficients(level)?;
        Ok(level.alpha.f_mul(&b)?.f_sub(&level.sigma.f_mul(&a)?)?)
    }

    /// The quantity for given data and noise, `[B, …]`.
    ///
    /// # Errors
    /// LibTorch's, for shapes that do not fit.
    pub fn target(self, level: &Level, data: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let (a, b) = self.coefficients(level)?;
        Ok(data.f_mul(&column(&a, data)?)?.f_add(&noise.f_mul(&column(&b, data)?)?)?)
    }

    /// Turns a value of this prediction at `x_t` `[B, …]` into the value of another.
    ///
    /// # Errors
    /// LibTorch's, for shapes that do not fit.
    pub fn convert(self, to: Self, value: &Tensor, level: &Level, x: &Tensor) -> Result<Tensor> {
        if self == to {
            return Ok(value.shallow_clone());
        }
        // c x₁ + d ε = [(c b − d a) x_t + (d α − c σ) p]/Δ.
        let ((a, b), (c, d)) = (self.coefficients(level)?, to.coefficients(level)?);
        let delta = self.delta(level)?;
        let of_x = (&c * &b - &d * &a) / &delta;
        let of_value = (&d * &level.alpha - &c * &level.sigma) / &delta;
        Ok(x.f_mul(&column(&of_x, x)?)?.f_add(&value.f_mul(&column(&of_value, x)?)?)?)
    }

    /// `(Δ_to/Δ_self)²`, `[B]`: the squared error of the converted prediction in units of the squared
    /// error of this one. A loss in one parametrisation is a weighted loss in any other.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn weight(self, to: Self, level: &Level) -> Result<Tensor> {
        Ok(to.delta(level)?.f_div(&self.delta(level)?)?.f_square()?)
    }
}

/// A network of any prediction as a velocity field, for solvers and [`maxlik_ode::Cnf`].
///
/// Times are kept `margin` away from 0 and 1, where a conversion may divide by zero.
#[derive(Debug)]
pub struct AsVelocity<V> {
    /// The path.
    pub interpolant: Interpolant,
    /// What the network predicts.
    pub prediction: Prediction,
    /// The least distance of a time from the ends.
    pub margin: f64,
    /// The network.
    pub network: V,
}

impl<V: VectorField> VectorField for AsVelocity<V> {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let t = t.f_clamp(self.margin, 1.0 - self.margin)?;
        let value = self.network.velocity(&t, x, context)?;
        let level = self.interpolant.level(&t)?;
        self.prediction.convert(Prediction::Velocity, &value, &level, x)
    }
}

/// `E[w(t) ‖f(t, x_t) − target‖²]` for a network that predicts any [`Prediction`], with standard
/// normal noise and `t` uniform: `w = 1` is the loss of the network's own target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionMatching {
    /// The path.
    pub interpolant: Interpolant,
    /// What the network predicts.
    pub prediction: Prediction,
    /// In whose units errors count: `w` is [`Prediction::weight`] to it. With the velocity it is
    /// flow matching, whatever the network predicts.
    pub measured_as: Prediction,
    /// The least distance of a time from 0 and 1.
    pub margin: f64,
}

impl PredictionMatching {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a margin outside `[0, ½)` and what [`Interpolant::check`] refuses.
    pub fn check(&self) -> Result<()> {
        if !(0.0..0.5).contains(&self.margin) {
            let why = format!("expected a number from 0 to below 0.5, got {}", self.margin);
            return Err(Error::config("margin", why));
        }
        self.interpolant.check()
    }

    /// The loss of each row, `[B]`, for given times `[B]` and noise of the shape of the data.
    ///
    /// # Errors
    /// [`Error::Shape`] for arguments or a prediction that do not fit, and those of the network.
    pub fn loss_at(
        &self,
        network: &dyn VectorField,
        batch: &Batch,
        t: &Tensor,
        noise: &Tensor,
    ) -> Result<Tensor> {
        let data = &batch.data;
        check::shape("noise", noise, &data.size())?;
        check::shape("t", t, &[rows_of(data)?])?;
        let level = self.interpolant.level(t)?;
        let kept = data.f_mul(&column(&level.alpha, data)?)?;
        let x = kept.f_add(&noise.f_mul(&column(&level.sigma, data)?)?)?;
        let value = network.velocity(t, &x, batch.context.as_ref())?;
        check::shape("prediction", &value, &data.size())?;
        let each = square_norm(&value.f_sub(&self.prediction.target(&level, data, noise)?)?)?;
        if self.prediction == self.measured_as {
            return Ok(each);
        }
        Ok(each.f_mul(&self.prediction.weight(self.measured_as, &level)?)?)
    }
}

impl Objective<dyn VectorField> for PredictionMatching {
    fn loss(&self, network: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        self.check()?;
        let data = &batch.data;
        let rows = rows_of(data)?;
        let t = Tensor::f_rand([rows], (data.kind(), data.device()))?;
        let t = t.f_clamp(self.margin, 1.0 - self.margin)?;
        let each = self.loss_at(network, batch, &t, &data.f_randn_like()?)?;
        Ok(Loss { value: batch_mean(&each, batch.weight.as_ref())?, metrics: Vec::new() })
    }
}
