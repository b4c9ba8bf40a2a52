//! Diffusion models of a recipe: a network of velocities or noise, the density of its ODE, the matching
//! that trains it, and its evidence bound.

mod matching;
mod network;
mod process;

pub use matching::{DiffusionMatching, Evidence};
pub use process::Process;

use crate::config::{ObjectiveConfig, VelocityLevels};
use crate::problem::Problem;
use matching::{Form, Units};
use maxlik_flows::{Flow, NetworkConfig, Standardize};
use maxlik_model::Density;
use maxlik_nn::{Activation, MlpConfig, ResidualConfig, Scope};
use maxlik_objectives::diffusion::{
    LearnedLevels, NoiseMatching, SecondOrder, Times, VelocityMatching,
};
use maxlik_ode::diffusion::{
    Dequantization, Dequantizer, DiffusionOde, MonotoneSchedule, NoisePrediction,
};
use maxlik_ode::{Adaptive, Cnf, Gaussian, MlpField, MlpFieldConfig, Solver, Trace, tableau};
use maxlik_tensor::{Error, Result};
use network::{FeatureNet, InGamma, Shared};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};
use tch::Tensor;

/// A diffusion model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionConfig {
    /// How data become noise, and what the network predicts.
    pub process: Process,
    /// The network. A perceptron of velocities with two hidden layers and `tanh` is solved by kernels, with
    /// the exact trace; a residual network sees features of the noise level and of the data's bins.
    #[serde(default = "residual")]
    pub network: NetworkConfig,
    /// The divergence in evaluation.
    #[serde(default)]
    pub trace: Trace,
    /// Relative and absolute tolerance of the solver, Dopri5.
    #[serde(default = "tolerance")]
    pub tolerance: f64,
    /// Of discrete data: how levels become numbers, in evaluation and in training.
    #[serde(default)]
    pub dequantization: Within,
}

/// Where in its bin a level is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// In the middle, with the first noise of the process cut off at the bin's ends.
    #[default]
    TruncatedNormal,
    /// Anywhere.
    Uniform,
}

fn residual() -> NetworkConfig {
    let activation = Activation::Silu;
    NetworkConfig::Residual(ResidualConfig { activation, ..ResidualConfig::default() })
}

fn tolerance() -> f64 {
    1e-5
}

/// Steps of a learned schedule.
const UNITS: i64 = 16;

/// What a configuration builds.
#[derive(Debug)]
pub struct Diffusion {
    /// The density of its ODE, in the units of the data.
    pub density: Box<dyn Density>,
    /// What trains it.
    pub objective: DiffusionMatching,
    /// Its evidence bound.
    pub evidence: Evidence,
    /// Of discrete data: levels as points of the unit interval.
    pub dequantizer: Option<Dequantizer>,
}

impl DiffusionConfig {
    fn check(&self, discrete: bool) -> Result<()> {
        self.process.check()?;
        let tolerance = self.tolerance;
        if !(tolerance > 0.0 && tolerance < 1.0) {
            let why = format!("expected a number in (0, 1), got {tolerance}");
            return Err(Error::config("tolerance", why));
        }
        if !discrete && self.dequantization == Within::Uniform {
            return Err(Error::config("dequantization", "these data have no levels"));
        }
        Ok(())
    }

    /// The model on the data of `problem`, trained as `objective` says.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers out of range, and for an objective of something else.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        problem: &Problem,
        objective: &ObjectiveConfig,
    ) -> Result<Diffusion> {
        self.check(problem.levels.is_some())?;
        let d = problem.dims();
        let network = self.network(&scope.sub("network"), d, problem.levels)?;
        let form = self.form(scope, objective)?;
        let ends = self.process.ends()?;
        let [alpha, sigma] = ends.data;
        let units = self.units(problem)?;
        let before = Standardize::new(
            &scope.sub("standardize"),
            &units.shift,
            &units.scale.f_div_scalar(alpha)?,
        )?;
        let ode = self.ode(scope, d, network.share())?;
        let dequantizer = problem.levels.map(|levels| {
            let how = match self.dequantization {
                Within::TruncatedNormal => Dequantization::TruncatedNormal,
                Within::Uniform => Dequantization::Uniform,
            };
            // On the unit interval, half as wide as the network's [−1, 1].
            Dequantizer::new(how, 1.0, 0.5 * sigma / alpha, 0.5 / f64::from(levels))
        });
        let timed = || -> Box<dyn maxlik_model::VectorField> {
            match self.process {
                Process::Velocity { path, .. } => {
                    Box::new(InGamma { path, network: network.share() })
                }
                Process::Noise { .. } => Box::new(network.share()),
            }
        };
        let shared = units.share();
        Ok(Diffusion {
            density: Box::new(Flow::new(Box::new(before), ode)?),
            objective: DiffusionMatching { network: timed(), units, form },
            evidence: Evidence { network: timed(), units: shared, process: self.process },
            dequantizer: dequantizer.transpose()?,
        })
    }

    fn network(&self, scope: &Scope<'_>, d: i64, levels: Option<u32>) -> Result<Shared> {
        Ok(match &self.network {
            NetworkConfig::Residual(config) => {
                let net = FeatureNet::new(scope, d, self.process, levels, config)?;
                Shared::Featured(Arc::new(Mutex::new(net)))
            }
            NetworkConfig::Mlp(MlpConfig { hidden, activation, dropout }) => {
                if *dropout != 0.0 {
                    let why = "a perceptron of a diffusion model has none; expected 0";
                    return Err(Error::config("network.dropout", why));
                }
                let config = MlpFieldConfig { hidden: hidden.clone(), activation: *activation };
                let field = MlpField::new(scope, d, 0, &config)?;
                match self.process {
                    Process::Velocity { .. } => Shared::Plain(field),
                    Process::Noise { .. } => Shared::Scaled(field, self.process),
                }
            }
        })
    }

    fn ode(&self, scope: &Scope<'_>, d: i64, network: Shared) -> Result<Box<dyn Density>> {
        let adaptive = Adaptive::new(self.tolerance, self.tolerance).joint();
        let solver = Solver::adaptive(tableau::DOPRI5, adaptive)?;
        let (event, place) = ([d], (scope.kind(), scope.device()));
        match self.process {
            Process::Noise { schedule, start } => {
                let score = NoisePrediction { schedule, network };
                let prior = (event.as_slice(), place.0, place.1);
                let ode = DiffusionOde::new(schedule, score, prior, start, solver)?;
                Ok(Box::new(ode.with(|flow| flow.trace(self.trace))?))
            }
            Process::Velocity { .. } => {
                let [data, noise] = self.process.times()?;
                let base = Gaussian::new(&event, self.process.ends()?.prior, place.0, place.1)?;
                let flow = match network {
                    Shared::Plain(field) => Cnf::with_drift(field, base, solver),
                    other => Cnf::new(other, base, solver),
                };
                Ok(Box::new(flow.times(noise, data).trace(self.trace)?))
            }
        }
    }

    fn units(&self, problem: &Problem) -> Result<Units> {
        let d = problem.dims() as usize;
        let (shift, scale) = match (problem.levels, &problem.scale) {
            (Some(_), _) => (vec![0.5; d], vec![0.5; d]),
            (None, Some(scale)) => (scale.mean(), scale.sd()),
            (None, None) => (vec![0.0; d], vec![1.0; d]),
        };
        Ok(Units {
            shift: Tensor::f_from_slice(&shift)?,
            scale: Tensor::f_from_slice(&scale)?,
            levels: problem.levels,
            uniform: self.dequantization == Within::Uniform,
        })
    }

    fn form(&self, scope: &Scope<'_>, objective: &ObjectiveConfig) -> Result<Form> {
        match (self.process, objective) {
            (
                Process::Velocity { path, g0, g1 },
                ObjectiveConfig::VelocityMatching { levels, second_order },
            ) => {
                let second = *second_order;
                if !(second >= 0.0 && second.is_finite()) {
                    let why = format!("expected a number ≥ 0, got {second}");
                    return Err(Error::config("objective.second_order", why));
                }
                let times = match levels {
                    VelocityLevels::Importance => Times::Importance,
                    VelocityLevels::Uniform | VelocityLevels::Learned => Times::Uniform,
                };
                let matching = VelocityMatching { path, g0, g1, times };
                if *levels == VelocityLevels::Learned {
                    if second > 0.0 {
                        let why = "the second order has no learned levels; expected importance";
                        return Err(Error::config("objective.levels", why));
                    }
                    let schedule = MonotoneSchedule::new(&scope.sub("schedule"), [g0, g1], UNITS)?;
                    return Ok(Form::Learned(Box::new(LearnedLevels { matching, schedule })));
                }
                Ok(if second > 0.0 {
                    Form::SecondOrder(SecondOrder { first: matching, strength: second })
                } else {
                    Form::Velocity(matching)
                })
            }
            (Process::Noise { schedule, start }, ObjectiveConfig::NoiseMatching { times }) => {
                Ok(Form::Noise(NoiseMatching { schedule, start, draws: *times }))
            }
            (Process::Velocity { .. }, _) => Err(Error::config(
                "objective.kind",
                "a diffusion model that predicts velocities is trained by velocity_matching",
            )),
            (Process::Noise { .. }, _) => Err(Error::config(
                "objective.kind",
                "a diffusion model that predicts noise is trained by noise_matching",
            )),
        }
    }
}
