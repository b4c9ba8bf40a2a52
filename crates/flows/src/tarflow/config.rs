//! Shape of transformer flows.

use maxlik_nn::{NormKind, Positions, TransformerConfig};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// What the conditioner knows before the first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// Nothing: outputs are shifted right by one token, and the first token is kept as it is
    /// (TARFlow).
    #[default]
    Shift,
    /// A trained start vector, so that the first token has a trained shift and scale (STARFlow).
    Sos,
}

/// How the conditioner's number becomes a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScale {
    /// `σ = eᵃ` (TARFlow).
    #[default]
    Exp,
    /// `σ = softplus(a + ln(e − 1))`, one at `a = 0` (STARFlow).
    Softplus,
    /// `σ = 1`: the volume-preserving variant, for a base with trained variances.
    Unit,
}

/// How a block is inverted; all ways give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Inversion {
    /// Token by token, with the keys and values of those before cached.
    Sequential {},
    /// All tokens of a chunk at once, again and again: `x ← z σ(x) + μ(x)` is exact after as many
    /// sweeps as the chunk has tokens, and often much sooner; chunks go one after another.
    Jacobi {
        /// Tokens of a chunk.
        chunk: i64,
        /// A chunk is done when no number moves by more than this; zero for the exact inverse.
        tolerance: f64,
    },
}

impl Default for Inversion {
    fn default() -> Self {
        Self::Sequential {}
    }
}

/// Shape of a [`crate::TarBlock`]. The defaults are TARFlow's.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TarBlockConfig {
    /// The conditioner.
    pub transformer: TransformerConfig,
    /// What it knows before the first token.
    pub start: Start,
    /// Its scale.
    pub scale: TokenScale,
    /// Soft limit `c tanh(o/c)` of its outputs; STARFlow's is 4.
    pub clip: Option<f64>,
    /// How the block is inverted.
    pub inversion: Inversion,
}

impl TarBlockConfig {
    /// STARFlow's: start vector, softplus scale, outputs limited to ±4, RMS norm and rotary
    /// positions.
    #[must_use]
    pub fn starflow(mut transformer: TransformerConfig) -> Self {
        transformer.norm = NormKind::RmsNorm;
        transformer.positions = Positions::Rotary { base: 10_000.0 };
        Self {
            transformer,
            start: Start::Sos,
            scale: TokenScale::Softplus,
            clip: Some(4.0),
            inversion: Inversion::Sequential {},
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if let Some(clip) = self.clip
            && (clip.is_nan() || clip <= 0.0)
        {
            return Err(Error::config("clip", format!("expected a positive number, got {clip}")));
        }
        if let Inversion::Jacobi { chunk, tolerance } = self.inversion
            && (chunk < 1 || tolerance.is_nan() || tolerance < 0.0)
        {
            let why = "expected a chunk of at least one token and a tolerance from zero on";
            return Err(Error::config("inversion", format!("{why}, got {chunk} and {tolerance}")));
        }
        Ok(())
    }
}

/// In which order the blocks of a stack take the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// From first to last and from last to first in turns.
    #[default]
    Alternating,
    /// All from first to last. Such a stack is no more than one block: affine maps of one order
    /// compose to one such map.
    Same,
}

/// Which blocks see the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conditioned {
    /// All (TARFlow).
    #[default]
    All,
    /// The last one, next to the base (STARFlow).
    Last,
}

/// Shape of a [`crate::TarStack`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TarflowConfig {
    /// Transformer layers of each block, in the order in which data pass them.
    pub layers: Vec<usize>,
    /// All else about the blocks; `block.transformer.layers` is not used.
    pub block: TarBlockConfig,
    /// Order of the tokens.
    pub ordering: Ordering,
    /// Which blocks see the context.
    pub conditioned: Conditioned,
}

impl Default for TarflowConfig {
    fn default() -> Self {
        Self::uniform(4, 2, TarBlockConfig::default())
    }
}

impl TarflowConfig {
    /// TARFlow: `blocks` blocks of equal depth.
    #[must_use]
    pub fn uniform(blocks: usize, layers: usize, block: TarBlockConfig) -> Self {
        let layers = vec![layers; blocks];
        Self { layers, block, ordering: Ordering::Alternating, conditioned: Conditioned::All }
    }

    /// STARFlow: `shallow` blocks of two layers, and a block of `deep` layers next to the base, which
    /// alone sees the context.
    #[must_use]
    pub fn deep_shallow(shallow: usize, deep: usize, block: TarBlockConfig) -> Self {
        let mut layers = vec![2; shallow];
        layers.push(deep);
        Self { layers, block, ordering: Ordering::Alternating, conditioned: Conditioned::Last }
    }
}
