//! Kullback–Leibler objectives and their targets, as configuration.

use super::energy::{Funnel, NormalMixture, Phi4, Target};
use super::{Estimator, ForwardKl, ImportanceWeighted, ReverseKl};
use maxlik_model::{Energy, Objective, PathDensity};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of a Kullback–Leibler objective, which [`DivergenceConfig::with`] an energy is one.
///
/// ```
/// use maxlik_objectives::density::{DivergenceConfig, Estimator, TargetConfig};
///
/// let target = TargetConfig::Funnel { dims: 10, std: 3.0 }.build()?;
/// let objective = DivergenceConfig::Reverse { estimator: Estimator::FastPath }.with(target)?;
/// # let _ = objective;
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DivergenceConfig {
    /// [`ReverseKl`].
    Reverse {
        /// How its gradient is estimated.
        #[serde(default)]
        estimator: Estimator,
    },
    /// [`ForwardKl`].
    Forward {
        /// How its gradient is estimated.
        #[serde(default)]
        estimator: Estimator,
    },
    /// [`ImportanceWeighted`].
    ImportanceWeighted {
        /// Samples in each group.
        samples: i64,
        /// How its gradient is estimated.
        #[serde(default)]
        estimator: Estimator,
    },
}

impl DivergenceConfig {
    /// From or to the density of this energy.
    ///
    /// # Errors
    /// [`Error::Config`] for groups without samples.
    pub fn with(self, target: Box<dyn Energy>) -> Result<Box<dyn Objective<dyn PathDensity>>> {
        Ok(match self {
            Self::Reverse { estimator } => Box::new(ReverseKl::new(target, estimator)),
            Self::Forward { estimator } => Box::new(ForwardKl::new(target, estimator)),
            Self::ImportanceWeighted { samples, estimator } => {
                Box::new(ImportanceWeighted::new(target, samples, estimator)?)
            }
        })
    }
}

/// A [`Target`] of the crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TargetConfig {
    /// [`Funnel::new`].
    Funnel {
        /// Number of coordinates.
        dims: i64,
        /// Standard deviation of the neck.
        std: f64,
    },
    /// [`NormalMixture::new`].
    Mixture {
        /// Means of the components, each with as many numbers as there are coordinates.
        means: Vec<Vec<f64>>,
        /// Weights of any sum; all alike where there are none.
        #[serde(default)]
        weights: Vec<f64>,
        /// Variance of all components in each direction.
        variance: f64,
    },
    /// [`NormalMixture::hypercube`].
    Hypercube {
        /// Number of coordinates.
        dims: i64,
        /// Variance of all components in each direction.
        variance: f64,
    },
    /// [`Phi4::new`].
    Phi4 {
        /// Side of the lattice.
        side: i64,
        /// Hopping `κ`.
        hopping: f64,
        /// Coupling `λ`.
        coupling: f64,
    },
}

impl TargetConfig {
    /// The target.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers out of range or means of different lengths, and
    /// [`Error::Shape`] for other than one weight for each mean.
    pub fn build(&self) -> Result<Box<dyn Target>> {
        Ok(match self {
            Self::Funnel { dims, std } => Box::new(Funnel::new(*dims, *std)?),
            Self::Mixture { means, weights, variance } => {
                let dims = means.first().map_or(0, Vec::len);
                if dims == 0 || means.iter().any(|mean| mean.len() != dims) {
                    let why = "expected at least one, all with the same number of coordinates";
                    return Err(Error::config("means", why));
                }
                let count = means.len();
                let flat = Tensor::f_from_slice(&means.concat())?;
                let means = flat.f_reshape([count as i64, dims as i64])?;
                let equal = vec![1.0; count];
                let weights = if weights.is_empty() { &equal } else { weights };
                Box::new(NormalMixture::new(&means, &Tensor::f_from_slice(weights)?, *variance)?)
            }
            Self::Hypercube { dims, variance } => {
                Box::new(NormalMixture::hypercube(*dims, *variance)?)
            }
            Self::Phi4 { side, hopping, coupling } => {
                Box::new(Phi4::new(*side, *hopping, *coupling)?)
            }
        })
    }
}
