//! The evidence bound of noise prediction under any noising process.

use super::terms::prior_divergence;
use crate::transport::{batch_mean, column, rows_of, square_norm, stratified};
use maxlik_model::{Batch, Loss, Objective, VectorField};
use maxlik_ode::diffusion::Schedule;
use maxlik_tensor::{Error, Result, check, host};
use serde::{Deserialize, Serialize};
use std::f64::consts::{E, TAU};
use tch::{Device, Kind, Tensor};

/// How times are drawn, one for each row, stratified over the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeDraws {
    /// `t` uniform: rows weigh `g²/σ²`.
    Uniform,
    /// `γ = ln(σ²/α²)` uniform: all rows weigh the same.
    #[default]
    Levels,
}

/// The diffusion part of the negative evidence lower bound in nats for a network that predicts the noise,
/// `½ ∫ (g²/σ²) E‖ε − ε̂‖² dt` from `start` to 1, for a variance that is preserved, kept below, or explodes.
///
/// It is likelihood weighting `λ = g²` of the score (Song, Durkan, Murray and Ermon 2021, "Maximum likelihood
/// training of score-based diffusion models", arXiv:2101.09258, theorem 1). Since `g² = σ² dγ/dt` for each
/// of these processes it is also `½ ∫ E‖ε − ε̂‖² dγ` (Kingma, Salimans, Poole and Ho 2021,
/// arXiv:2107.00630, eq. 14): between given `γ` the process does not matter. The network is given `t`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseMatching {
    /// The noising process.
    pub schedule: Schedule,
    /// The time of the data, above 0 where the noise vanishes.
    pub start: f64,
    /// How `t` is drawn.
    pub draws: TimeDraws,
}

impl NoiseMatching {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a start outside `(0, 1)`, and those of [`Schedule::check`].
    pub fn check(&self) -> Result<()> {
        self.schedule.check()?;
        if self.start > 0.0 && self.start < 1.0 {
            return Ok(());
        }
        Err(Error::config("start", format!("expected 0 < start < 1, got {}", self.start)))
    }

    /// `γ` at the start and at 1.
    fn ends(&self) -> [f64; 2] {
        [self.schedule.gamma(self.start), self.schedule.gamma(1.0)]
    }

    /// Times for a uniform `offset` in `[0, 1)` of the strata, `[rows]`.
    ///
    /// # Errors
    /// As [`NoiseMatching::check`].
    pub fn times(&self, offset: f64, rows: i64) -> Result<Vec<f64>> {
        self.check()?;
        let [low, high] = self.ends();
        let time = |q: f64| match self.draws {
            TimeDraws::Uniform => self.start + (1.0 - self.start) * q,
            TimeDraws::Levels => self.schedule.time_of(-0.5 * (low + (high - low) * q)),
        };
        Ok(stratified(offset, rows).into_iter().map(time).collect())
    }

    /// The weight of a row's `‖ε − ε̂‖²` at `t` `[B]`, so that their mean is the loss, `[B]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn weight(&self, t: &Tensor) -> Result<Tensor> {
        let [low, high] = self.ends();
        Ok(match self.draws {
            TimeDraws::Uniform => {
                let rate = self.schedule.noise_rate(t)?;
                let rate = rate.f_div(&self.schedule.sigma(t)?.f_square()?)?;
                rate.f_mul_scalar(0.5 * (1.0 - self.start))?
            }
            TimeDraws::Levels => t.f_full_like(0.5 * (high - low))?,
        })
    }

    /// The loss of each row in nats, `[B]`, for given times `[B]` and noise of the shape of the data.
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
        let x = &batch.data;
        check::shape("noise", noise, &x.size())?;
        check::shape("t", t, &[rows_of(x)?])?;
        let kept = x.f_mul(&column(&self.schedule.alpha(t)?, x)?)?;
        let z = kept.f_add(&noise.f_mul(&column(&self.schedule.sigma(t)?, x)?)?)?;
        let found = network.velocity(t, &z, batch.context.as_ref())?;
        check::shape("noise prediction", &found, &z.size())?;
        Ok(square_norm(&found.f_sub(noise)?)?.f_mul(&self.weight(t)?)?)
    }

    /// `KL(N(α₁ x, σ₁² I) ‖ N(0, s² I))` of each row in nats, `[B]`, with `s` of [`Schedule::prior_std`].
    ///
    /// # Errors
    /// LibTorch's.
    pub fn prior(&self, x: &Tensor) -> Result<Tensor> {
        let one = Tensor::f_ones([1], (Kind::Double, Device::Cpu))?;
        let alpha = host::scalar(&self.schedule.alpha(&one)?)?;
        let sigma = host::scalar(&self.schedule.sigma(&one)?)?;
        prior_divergence(x, [alpha, sigma], self.schedule.prior_std()?)
    }

    /// A bound in nats on `−E ln p(z)` of the data noised to the start, `z = α x + σ ε`, for each row,
    /// `[B]`: [`NoiseMatching::loss_at`] + [`NoiseMatching::prior`] + `½ d ln(2πe σ²)`.
    ///
    /// # Errors
    /// As [`NoiseMatching::loss_at`].
    pub fn bound_at(
        &self,
        network: &dyn VectorField,
        batch: &Batch,
        t: &Tensor,
        noise: &Tensor,
    ) -> Result<Tensor> {
        let x = &batch.data;
        let start = Tensor::f_from_slice(&[self.start])?;
        let sigma = host::scalar(&self.schedule.sigma(&start)?)?;
        let dims = x.size().iter().skip(1).product::<i64>() as f64;
        let entropy = 0.5 * dims * (TAU * E * sigma * sigma).ln();
        let loss = self.loss_at(network, batch, t, noise)?;
        Ok(loss.f_add(&self.prior(x)?)?.f_add_scalar(entropy)?)
    }
}

impl Objective<dyn VectorField> for NoiseMatching {
    fn loss(&self, network: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        let data = &batch.data;
        let offset = host::scalar(&Tensor::f_rand([1], (Kind::Double, Device::Cpu))?)?;
        let t = Tensor::f_from_slice(&self.times(offset, rows_of(data)?)?)?;
        let t = t.f_to_device(data.device())?.f_to_kind(data.kind())?;
        let each = self.loss_at(network, batch, &t, &data.f_randn_like()?)?;
        Ok(Loss { value: batch_mean(&each, batch.weight.as_ref())?, metrics: Vec::new() })
    }
}
