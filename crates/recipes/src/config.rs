//! What a recipe is: data, model, objective and optimizer, as one TOML file.

use maxlik_flows::{FlowConfig, NetworkConfig, SplineConfig};
use maxlik_train::OptimConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name in summaries and of the run's folder.
    pub name: String,
    /// The only seed.
    #[serde(default)]
    pub seed: u64,
    /// Number type of the model.
    #[serde(default)]
    pub precision: Precision,
    /// What is learned.
    pub data: DataConfig,
    /// What learns it.
    pub model: ModelConfig,
    /// How.
    #[serde(default)]
    pub objective: ObjectiveConfig,
    /// With which steps.
    #[serde(default)]
    pub optim: OptimConfig,
}

/// Number type of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Double precision.
    F64,
}

/// A data set, and how it is split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DataConfig {
    /// 1,797 handwritten digits of 8×8 pixels with 17 levels, in the canonical split.
    Digits {
        /// Largest random shift of training images in pixels, in each direction; 0 for none.
        #[serde(default)]
        shift: usize,
    },
    /// A density on the plane with a known log-density.
    Toy {
        /// Its name, such as `moons` or `eight-gaussians`.
        name: String,
        /// Rows to train on; a fifth as many validate, and as many test.
        #[serde(default = "toy_rows")]
        rows: usize,
    },
    /// A table of numbers.
    Table {
        /// A CSV, NPY or NPZ file.
        path: PathBuf,
        /// Part of the rows that validates.
        #[serde(default = "tenth")]
        validation: f64,
        /// Part of the rows that tests.
        #[serde(default = "tenth")]
        test: f64,
        /// Whether to leave out columns that hold one value only, instead of refusing them.
        #[serde(default)]
        drop_constant: bool,
    },
    /// A UCI table of density estimation from its raw files, prepared as by Papamakarios et al. 2017
    /// (arXiv:1705.07057): likelihoods are of the prepared data, so that published numbers compare.
    Uci {
        /// Which one.
        set: UciSet,
        /// Its raw file, or for HEPMASS the folder of its files.
        path: PathBuf,
    },
}

/// The tables of density estimation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UciSet {
    /// Household power consumption.
    Power,
    /// Gas sensors.
    Gas,
    /// High-energy physics, signal of mass 1000.
    Hepmass,
    /// Neutrino events.
    Miniboone,
    /// Patches of natural images.
    Bsds300,
}

fn toy_rows() -> usize {
    20_000
}

fn tenth() -> f64 {
    0.1
}

/// A density.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelConfig {
    /// The neural spline flow with coupling layers.
    SplineCoupling(SplineStackConfig),
    /// RealNVP.
    Realnvp(AffineStackConfig),
    /// The masked autoregressive flow.
    Maf(AffineStackConfig),
    /// The neural spline flow with autoregressive layers.
    SplineAutoregressive(SplineStackConfig),
    /// Any stack of layers.
    Flow(FlowConfig),
}

/// A stack of layers with splines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplineStackConfig {
    /// Number of layers.
    pub layers: usize,
    /// Their conditioners.
    pub network: NetworkConfig,
    /// Their splines.
    pub spline: SplineConfig,
}

impl Default for SplineStackConfig {
    fn default() -> Self {
        Self { layers: 6, network: NetworkConfig::default(), spline: SplineConfig::default() }
    }
}

/// A stack of affine layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AffineStackConfig {
    /// Number of layers.
    pub layers: usize,
    /// Their conditioners.
    pub network: NetworkConfig,
}

impl Default for AffineStackConfig {
    fn default() -> Self {
        Self { layers: 8, network: NetworkConfig::default() }
    }
}

impl ModelConfig {
    /// The stack of layers that it stands for.
    #[must_use]
    pub fn flow(&self) -> FlowConfig {
        match self {
            Self::SplineCoupling(SplineStackConfig { layers, network, spline }) => {
                FlowConfig::spline_coupling(*layers, network, *spline)
            }
            Self::Realnvp(AffineStackConfig { layers, network }) => {
                FlowConfig::realnvp(*layers, network)
            }
            Self::Maf(AffineStackConfig { layers, network }) => FlowConfig::maf(*layers, network),
            Self::SplineAutoregressive(SplineStackConfig { layers, network, spline }) => {
                FlowConfig::spline_autoregressive(*layers, network, *spline)
            }
            Self::Flow(config) => config.clone(),
        }
    }
}

/// An objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ObjectiveConfig {
    /// Maximum likelihood; discrete data are dequantized.
    Likelihood {},
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self::Likelihood {}
    }
}
