//! Diffusion models as densities: the ODE with the same marginals as the noising process.

mod dequantize;
mod dpm;
mod gamma;
mod monotone;
mod ode;
mod schedule;

pub use dequantize::{Bound, Dequantization, Dequantized, Dequantizer};
pub use dpm::DpmSolver;
pub use gamma::{GammaOde, Levels, NoisePath};
pub use monotone::{MonotoneSchedule, ScheduleAt};
pub use ode::{DiffusionOde, NoisePrediction, ProbabilityFlow, TimeScore};
pub use schedule::Schedule;
