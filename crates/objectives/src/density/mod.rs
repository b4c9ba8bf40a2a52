//! Objectives that fit a density.

mod contrastive;
mod dequantization;
mod divergence;
pub mod energy;
mod free_form;
mod kl;
mod maximum_likelihood;
mod penalized;

pub use contrastive::ContrastiveLikelihood;
pub use dequantization::{Dequantized, bits_per_dim};
pub use divergence::{DivergenceConfig, TargetConfig};
pub use energy::Target;
pub use free_form::{FreeForm, Volume, orthogonal_probes};
pub use kl::{Estimator, ForwardKl, ImportanceWeighted, ReverseKl, forward_ess, reverse_ess};
pub use maximum_likelihood::MaximumLikelihood;
pub use penalized::{ParameterNorm, Penalized, Penalty, ScoreNorm};
