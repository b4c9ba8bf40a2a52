//! The probability-flow ODE of a score model.

use super::Schedule;
use crate::time::column;
use crate::{Cnf, Gaussian, Solver};
use maxlik_model::{Density, Sampled, VectorField};
use maxlik_tensor::{Error, Result};
use std::fmt::Debug;
use tch::{Device, Kind, Tensor};

/// The score `∇ₓ ln p_t(x)` of a noised density.
pub trait TimeScore: Debug + Send {
    /// The score at `x` `[b, …]`, of the same shape; `t` is `[b]`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn score(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;
}

/// The score of a network `ε(t, x)` that predicts the noise: `−ε/σ`.
#[derive(Debug)]
pub struct NoisePrediction<V> {
    /// The noising process.
    pub schedule: Schedule,
    /// The network.
    pub network: V,
}

impl<V: VectorField> TimeScore for NoisePrediction<V> {
    fn score(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let noise = self.network.velocity(t, x, context)?;
        Ok(noise.f_div(&column(&self.schedule.sigma(t)?, x)?)?.f_neg()?)
    }
}

/// `dx/dt = a(t) x − ½ g(t)² s(t, x)`, which has the marginals of the noising process (Song et al.
/// 2021, arXiv:2011.13456, eq. 13).
#[derive(Debug)]
pub struct ProbabilityFlow<S> {
    /// The noising process.
    pub schedule: Schedule,
    /// The score.
    pub score: S,
}

impl<S: TimeScore> VectorField for ProbabilityFlow<S> {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let score = self.score.score(t, x, context)?;
        let half = self.schedule.noise_rate(t)?.f_mul_scalar(-0.5)?;
        let pull = x.f_mul(&column(&self.schedule.drift_rate(t)?, x)?)?;
        Ok(pull.f_addcmul(&score, &column(&half, x)?)?)
    }
}

/// The density of a diffusion model by its probability-flow ODE, from the prior at `t = 1` to the
/// data at a small `t`.
#[derive(Debug)]
pub struct DiffusionOde {
    cnf: Cnf,
}

impl DiffusionOde {
    /// The density of events of that shape; `start` is the time of the data, above 0 where the score
    /// has a pole. The prior is normal with [`Schedule::prior_std`].
    ///
    /// # Errors
    /// [`Error::Config`] for a schedule or a start that cannot be used.
    pub fn new(
        schedule: Schedule,
        score: impl TimeScore + 'static,
        prior: (&[i64], Kind, Device),
        start: f64,
        solver: Solver,
    ) -> Result<Self> {
        schedule.check()?;
        if !(0.0..1.0).contains(&start) {
            return Err(Error::config("start", format!("expected a time in [0, 1), got {start}")));
        }
        let (event, kind, device) = prior;
        let prior = Gaussian::new(event, schedule.prior_std()?, kind, device)?;
        let cnf = Cnf::new(ProbabilityFlow { schedule, score }, prior, solver).times(1.0, start);
        Ok(Self { cnf })
    }

    /// With settings of the flow, such as its trace.
    ///
    /// # Errors
    /// Those of `set`.
    pub fn with(self, set: impl FnOnce(Cnf) -> Result<Cnf>) -> Result<Self> {
        Ok(Self { cnf: set(self.cnf)? })
    }

    /// The flow, for evaluations with given random numbers and statistics.
    #[must_use]
    pub fn flow(&self) -> &Cnf {
        &self.cnf
    }
}

impl Density for DiffusionOde {
    fn event_shape(&self) -> &[i64] {
        self.cnf.event_shape()
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.cnf.context_shape()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.cnf.log_density(x, context)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        self.cnf.draw(count, context)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        self.cnf.rsample_and_log_prob(count, context)
    }
}
