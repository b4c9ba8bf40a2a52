//! What a recipe is: data, model, objective and optimizer, as one TOML file.

use crate::continuous::CnfConfig;
use crate::diffusion::DiffusionConfig;
use maxlik_flows::{FlowConfig, NetworkConfig, SplineConfig};
use maxlik_nn::TransformerLanguageModelConfig;
use maxlik_objectives::diffusion::TimeDraws;
use maxlik_objectives::score::ScoreMatchingConfig;
use maxlik_objectives::transport::FlowMatchingConfig;
use maxlik_tensor::{Error, Result};
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
    /// Single precision with matrix products in `bfloat16`; for models of text.
    Bf16,
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
    /// Text for a language model.
    Text {
        /// A text file, a `.jsonl` file, or a folder of such; the sonnets that come with maxlik where not
        /// given.
        #[serde(default)]
        path: PathBuf,
        /// Key of a document's text in lines of JSON.
        #[serde(default = "text_field")]
        field: String,
        /// What a token is.
        #[serde(default)]
        tokens: Tokens,
        /// Part of the text that validates.
        #[serde(default = "twentieth")]
        validation: f64,
        /// Part of the text that tests.
        #[serde(default = "twentieth")]
        test: f64,
    },
}

/// What a token of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// A character of the text.
    #[default]
    Characters,
    /// A byte of UTF-8.
    Bytes,
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

fn twentieth() -> f64 {
    0.05
}

fn text_field() -> String {
    "text".to_owned()
}

/// A density, or a language model.
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
    /// A causal transformer, for text.
    Transformer(TransformerLanguageModelConfig),
    /// A continuous flow.
    Cnf(CnfConfig),
    /// A diffusion model.
    Diffusion(DiffusionConfig),
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
    ///
    /// # Errors
    /// [`Error::Config`] for a language model, a continuous flow and a diffusion model, which are none.
    pub fn flow(&self) -> Result<FlowConfig> {
        Ok(match self {
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
            Self::Transformer(_) => {
                let why = "a transformer is a model of text (data.kind = \"text\")";
                return Err(Error::config("model.kind", why));
            }
            Self::Cnf(_) => {
                let why = "a continuous flow is no stack of layers";
                return Err(Error::config("model.kind", why));
            }
            Self::Diffusion(_) => {
                let why = "a diffusion model is no stack of layers";
                return Err(Error::config("model.kind", why));
            }
        })
    }
}

/// An objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ObjectiveConfig {
    /// Maximum likelihood; discrete data are dequantized.
    Likelihood {},
    /// Likelihood with penalties.
    PenalizedLikelihood {
        /// Weight of the mean squared score of the data.
        #[serde(default)]
        score_norm: f64,
        /// Weight of half the squared norm of all parameters.
        #[serde(default)]
        parameter_norm: f64,
    },
    /// Likelihood by samples of the model in place of determinants that do not depend on the data.
    ContrastiveLikelihood {},
    /// Score matching, which asks for the density up to a constant: determinants of linear layers are not
    /// computed (EBFlow). Data are matched where the preprocessing leaves them: standardised, or of
    /// images the logit.
    ScoreMatching {
        /// How.
        form: ScoreMatchingConfig,
    },
    /// Of a continuous flow: its field is matched to the velocities of paths from noise to data.
    FlowMatching {
        /// The paths, and the pairs of their ends.
        form: FlowMatchingConfig,
    },
    /// Of a diffusion model that predicts velocities: the diffusion part of its evidence bound.
    VelocityMatching {
        /// How noise levels are drawn.
        #[serde(default)]
        levels: VelocityLevels,
        /// Weight of the second-order term, for fine-tuning (i-DODE, arXiv:2305.03935); 0.1 there.
        #[serde(default)]
        second_order: f64,
    },
    /// Of a diffusion model that predicts the noise: the same.
    NoiseMatching {
        /// How times are drawn.
        #[serde(default)]
        times: TimeDraws,
    },
    /// Of text: targets smoothed by `epsilon`.
    LabelSmoothing {
        /// Mass that is spread over all tokens.
        epsilon: f64,
    },
    /// Of text: likelihood, and unlikelihood of earlier tokens.
    Unlikelihood {
        /// Its weight.
        alpha: f64,
    },
    /// Of text: forward and reverse cross-entropy mixed.
    Mixce {
        /// Share of the forward part.
        eta: f64,
    },
    /// Of text: likelihood beside a bound on the earth mover distance, by the model's own vectors.
    Emo {},
    /// Of text: likelihood and semipermeable likelihood mixed.
    Smile {
        /// Share of likelihood.
        likelihood: f64,
    },
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self::Likelihood {}
    }
}

/// How the noise levels of velocity matching are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VelocityLevels {
    /// So that all rows weigh the same.
    #[default]
    Importance,
    /// Uniformly in `γ`.
    Uniform,
    /// By a monotone schedule that is trained to lower the variance of the loss.
    Learned,
}
