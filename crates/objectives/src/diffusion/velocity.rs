//! Velocity matching under likelihood weighting.

use crate::transport::{batch_mean, column, rows_of, square_norm, stratified};
use maxlik_model::{Batch, Loss, Objective, VectorField};
use maxlik_ode::diffusion::{MonotoneSchedule, NoisePath, ScheduleAt};
use maxlik_tensor::{Error, Result, check, host};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How noise levels are drawn, one for each row, stratified over the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// `γ` uniform on `[g0, g1]`: rows weigh `α²(γ)`.
    Uniform,
    /// `γ` with density `∝ α²(γ)`: all rows weigh the same, which lowers the variance of the loss
    /// (Zheng et al. 2023, arXiv:2305.03935, sec. 4.2).
    #[default]
    Importance,
}

/// The diffusion part of the negative evidence lower bound, in nats:
/// `½ ∫ E‖ε − ε̂‖² dγ`, for a velocity network `½ ∫ α² E‖F* − F‖² dγ` (variance preserving) or
/// `∫ α² E‖F* − F‖² dγ` (straight) over `[g0, g1]` (Kingma, Salimans, Poole and Ho 2021,
/// arXiv:2107.00630, eq. 14; Zheng et al. 2023, arXiv:2305.03935, sec. 4.1).
///
/// The network is given `γ` as its time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VelocityMatching {
    /// The path.
    pub path: NoisePath,
    /// `γ` at the data.
    pub g0: f64,
    /// `γ` at the noise.
    pub g1: f64,
    /// How `γ` is drawn.
    pub times: Times,
}

/// What one row's point is made of.
pub(super) struct Noised {
    pub(super) z: Tensor,
    pub(super) target: Tensor,
}

impl VelocityMatching {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty interval.
    pub fn check(&self) -> Result<()> {
        if self.g0 < self.g1 && self.g0.is_finite() && self.g1.is_finite() {
            return Ok(());
        }
        let why = format!("expected g0 < g1, got {} and {}", self.g0, self.g1);
        Err(Error::config("g0", why))
    }

    /// `γ` for a uniform `offset` in `[0, 1)` of the strata, `[rows]`.
    ///
    /// # Errors
    /// As [`VelocityMatching::check`].
    pub fn gamma(&self, offset: f64, rows: i64) -> Result<Vec<f64>> {
        self.check()?;
        let q = stratified(offset, rows);
        match self.times {
            Times::Uniform => Ok(q.iter().map(|q| self.g0 + (self.g1 - self.g0) * q).collect()),
            Times::Importance => self.path.sample(&q, self.g0, self.g1),
        }
    }

    /// The weight of a row's `‖F* − F‖²` at `γ` `[B]`, so that their mean is the loss, `[B]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn weight(&self, gamma: &Tensor) -> Result<Tensor> {
        let factor = match self.path {
            NoisePath::VariancePreserving => 0.5,
            NoisePath::Straight => 1.0,
        };
        Ok(match self.times {
            Times::Uniform => {
                let square = self.path.levels(gamma)?.alpha.f_square()?;
                square.f_mul_scalar(factor * (self.g1 - self.g0))?
            }
            Times::Importance => gamma.f_full_like(factor * self.path.mass(self.g0, self.g1))?,
        })
    }

    /// A draw of `γ` from LibTorch's generator, `[B]`, in the numbers of the data.
    ///
    /// # Errors
    /// As [`VelocityMatching::gamma`].
    pub fn draw(&self, data: &Tensor) -> Result<Tensor> {
        let rows = rows_of(data)?;
        let offset = host::scalar(&Tensor::f_rand([1], (Kind::Double, tch::Device::Cpu))?)?;
        let gamma = Tensor::f_from_slice(&self.gamma(offset, rows)?)?;
        Ok(gamma.f_to_device(data.device())?.f_to_kind(data.kind())?)
    }

    pub(super) fn noised(&self, data: &Tensor, gamma: &Tensor, noise: &Tensor) -> Result<Noised> {
        check::shape("noise", noise, &data.size())?;
        check::shape("gamma", gamma, &[rows_of(data)?])?;
        let levels = self.path.levels(gamma)?;
        let kept = data.f_mul(&column(&levels.alpha, data)?)?;
        Ok(Noised {
            z: kept.f_add(&noise.f_mul(&column(&levels.sigma, data)?)?)?,
            target: self.path.velocity(data, noise, gamma)?,
        })
    }

    /// The loss of each row in nats, `[B]`, for given `γ` `[B]` and noise of the shape of the data.
    ///
    /// # Errors
    /// [`Error::Shape`] for arguments or a velocity that do not fit, and those of the network.
    pub fn loss_at(
        &self,
        network: &dyn VectorField,
        batch: &Batch,
        gamma: &Tensor,
        noise: &Tensor,
    ) -> Result<Tensor> {
        let Noised { z, target } = self.noised(&batch.data, gamma, noise)?;
        let velocity = network.velocity(gamma, &z, batch.context.as_ref())?;
        check::shape("velocity", &velocity, &z.size())?;
        Ok(square_norm(&velocity.f_sub(&target)?)?.f_mul(&self.weight(gamma)?)?)
    }

    /// The loss of each row in nats, `[B]`, at the noise levels of a learned schedule for given times
    /// `[B]`, uniform on `[0, 1]`, and noise: `dγ/dt · α²/2 · ‖F* − F‖²` (variance preserving).
    ///
    /// Its mean, which trains the network, does not depend on the schedule; the mean of its square
    /// does, and trains the schedule (Kingma, Salimans, Poole and Ho 2021, arXiv:2107.00630, appendix
    /// I.2).
    ///
    /// # Errors
    /// As [`VelocityMatching::loss_at`], and [`Error::Config`] for a schedule with other ends.
    pub fn loss_on(
        &self,
        network: &dyn VectorField,
        schedule: &MonotoneSchedule,
        batch: &Batch,
        t: &Tensor,
        noise: &Tensor,
    ) -> Result<Tensor> {
        let ends = schedule.ends();
        if ends != [self.g0, self.g1] {
            let why = format!("expected one from {} to {}, got {ends:?}", self.g0, self.g1);
            return Err(Error::config("schedule", why));
        }
        self.loss_along(network, &schedule.at(t)?, batch, noise)
    }

    /// The loss of each row at these levels.
    pub(super) fn loss_along(
        &self,
        network: &dyn VectorField,
        at: &ScheduleAt,
        batch: &Batch,
        noise: &Tensor,
    ) -> Result<Tensor> {
        // Uniform levels: a row's weight is (g1 − g0) times what dγ weighs.
        let uniform = Self { times: Times::Uniform, ..*self };
        let each = uniform.loss_at(network, batch, &at.gamma, noise)?;
        Ok(each.f_mul(&at.rate)?.f_mul_scalar(1.0 / (self.g1 - self.g0))?)
    }

    /// Stratified times in `[0, 1)` for the rows of the data, `[B]`, from LibTorch's generator.
    pub(super) fn times(data: &Tensor) -> Result<Tensor> {
        let rows = rows_of(data)?;
        let offset = host::scalar(&Tensor::f_rand([1], (Kind::Double, tch::Device::Cpu))?)?;
        let t = Tensor::f_from_slice(&stratified(offset, rows))?;
        Ok(t.f_to_device(data.device())?.f_to_kind(data.kind())?)
    }
}

impl Objective<dyn VectorField> for VelocityMatching {
    fn loss(&self, network: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        let gamma = self.draw(&batch.data)?;
        let each = self.loss_at(network, batch, &gamma, &batch.data.f_randn_like()?)?;
        Ok(Loss { value: batch_mean(&each, batch.weight.as_ref())?, metrics: Vec::new() })
    }
}
