//! Likelihood objectives of diffusion models in `γ = ln(σ²/α²)`, the log noise-to-signal ratio.
//!
//! A network predicts the velocity `F(γ, z)` of a [`maxlik_ode::diffusion::NoisePath`]; the same network
//! is a density by [`maxlik_ode::diffusion::GammaOde`], and one of discrete data by
//! [`maxlik_ode::diffusion::Dequantizer`].

mod elbo;
mod learned;
mod noise;
mod second_order;
mod terms;
mod velocity;

pub use elbo::{Elbo, ElboTerms};
pub use learned::LearnedLevels;
pub use noise::{NoiseMatching, TimeDraws};
pub use second_order::{Parts, SecondOrder};
pub use terms::{prior_divergence, reconstruction};
pub use velocity::{Times, VelocityMatching};
