//! Auto-encoder scores and their sampler, as configuration.

use super::{ContractiveReconstruction, DenoisingReconstruction, Metropolis};
use maxlik_model::{Objective, Reconstruct};
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};

/// Shape of an objective that makes an auto-encoder a score (see [`super::ReconstructionScore`]).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ReconstructionConfig {
    /// [`DenoisingReconstruction`].
    Denoising {
        /// Standard deviation of the noise, in units of the data.
        sigma: f64,
    },
    /// [`ContractiveReconstruction`].
    Contractive {
        /// The noise that the penalty stands for, in units of the data.
        sigma: f64,
    },
}

impl ReconstructionConfig {
    /// The objective.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for a noise that is not positive.
    pub fn build(self) -> Result<Box<dyn Objective<dyn Reconstruct>>> {
        Ok(match self {
            Self::Denoising { sigma } => Box::new(DenoisingReconstruction::new(sigma)?),
            Self::Contractive { sigma } => Box::new(ContractiveReconstruction::new(sigma)?),
        })
    }
}

/// Shape of a [`Metropolis`] sampler.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetropolisConfig {
    /// Standard deviation of a proposal's step, in units of the data.
    pub step: f64,
    /// Nodes of the line integral, one to three.
    #[serde(default = "two")]
    pub nodes: usize,
}

fn two() -> usize {
    2
}

impl MetropolisConfig {
    /// The sampler.
    ///
    /// # Errors
    /// As [`Metropolis::new`].
    pub fn build(self) -> Result<Metropolis> {
        Metropolis::new(self.step, self.nodes)
    }
}
