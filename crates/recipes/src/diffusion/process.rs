//! How data become noise, and what of it a network predicts.

use maxlik_ode::diffusion::{Levels, NoisePath, Schedule};
use maxlik_tensor::{Error, Result, host};
use serde::{Deserialize, Serialize};
use std::f64::consts::SQRT_2;
use tch::Tensor;

/// A path `z = α x + σ ε` from data to noise, by what the network predicts of it.
///
/// A network of velocities has a time `s` of its own, in which the ODE is `dz/ds = F`: the angle
/// `s = arctan(σ/α)` where the variance is preserved, `s = √2 σ` on the straight path. One that predicts the
/// noise has the time of its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "predict", rename_all = "snake_case", deny_unknown_fields)]
pub enum Process {
    /// The velocity `F` of a path in `γ = ln(σ²/α²)` (i-DODE, arXiv:2305.03935).
    Velocity {
        /// The path.
        path: NoisePath,
        /// `γ` at the data.
        g0: f64,
        /// `γ` at the noise.
        g1: f64,
    },
    /// The noise `ε` under a noising process (arXiv:2011.13456).
    Noise {
        /// The process.
        schedule: Schedule,
        /// The time of the data, above 0.
        start: f64,
    },
}

/// `α` and `σ` at both ends, and the standard deviation of the prior.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) data: [f64; 2],
    pub(super) noise: [f64; 2],
    pub(super) prior: f64,
}

impl Process {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Velocity { g0, g1, .. } if g0 < g1 && g0.is_finite() && g1.is_finite() => Ok(()),
            Self::Velocity { g0, g1, .. } => {
                Err(Error::config("process.g0", format!("expected g0 < g1, got {g0} and {g1}")))
            }
            Self::Noise { start, .. } if !(start > 0.0 && start < 1.0) => {
                Err(Error::config("process.start", format!("expected 0 < start < 1, got {start}")))
            }
            Self::Noise { schedule, .. } => schedule.check(),
        }
    }

    /// The network's times at the data and at the noise.
    pub(super) fn times(self) -> Result<[f64; 2]> {
        Ok(match self {
            Self::Velocity { path, g0, g1 } => {
                let at = |g: f64| host::scalar(&own_time(path, &Tensor::from(g))?);
                [at(g0)?, at(g1)?]
            }
            Self::Noise { start, .. } => [start, 1.0],
        })
    }

    /// `α` and `σ` at a time of the network.
    pub(super) fn levels(self, time: &Tensor) -> Result<Levels> {
        Ok(match self {
            Self::Velocity { path: NoisePath::VariancePreserving, .. } => {
                Levels { alpha: time.f_cos()?, sigma: time.f_sin()? }
            }
            Self::Velocity { path: NoisePath::Straight, .. } => {
                let sigma = time.f_mul_scalar(1.0 / SQRT_2)?;
                Levels { alpha: sigma.f_neg()?.f_add_scalar(1.0)?, sigma }
            }
            Self::Noise { schedule, .. } => {
                Levels { alpha: schedule.alpha(time)?, sigma: schedule.sigma(time)? }
            }
        })
    }

    pub(super) fn ends(self) -> Result<Ends> {
        let at = |time: f64| -> Result<[f64; 2]> {
            let Levels { alpha, sigma } = self.levels(&Tensor::from(time))?;
            Ok([host::scalar(&alpha)?, host::scalar(&sigma)?])
        };
        let [data, noise] = self.times()?;
        let noise = at(noise)?;
        let prior = match self {
            // That of standardised data at the noise.
            Self::Velocity { .. } => noise[0].hypot(noise[1]),
            Self::Noise { schedule, .. } => schedule.prior_std()?,
        };
        Ok(Ends { data: at(data)?, noise, prior })
    }
}

/// The time `s` at `γ` in which the ODE of a path is `dz/ds = F`.
pub(super) fn own_time(path: NoisePath, gamma: &Tensor) -> Result<Tensor> {
    let half = gamma.f_mul_scalar(0.5)?;
    Ok(match path {
        NoisePath::VariancePreserving => half.f_exp()?.f_atan()?,
        NoisePath::Straight => half.f_sigmoid()?.f_mul_scalar(SQRT_2)?,
    })
}
