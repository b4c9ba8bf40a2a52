//! Shape of a transformer.

use crate::NormKind;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// How a transformer knows where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Positions {
    /// A trained vector for each place, added to the input.
    Learned {},
    /// Queries and keys are rotated by angles that grow with the place (Su et al. 2021,
    /// arXiv:2104.09864).
    Rotary {
        /// Base of the frequencies; 10,000 in the paper.
        base: f64,
    },
    /// It does not, but for the causal mask.
    None {},
}

/// The network between attentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedForward {
    /// `W₂ gelu(W₁ x)`.
    #[default]
    Gelu,
    /// The same with GPT-2's approximation by a hyperbolic tangent.
    GeluTanh,
    /// `W₂ (silu(W₁ x) ⊙ W₃ x)` (Shazeer 2020, arXiv:2002.05202).
    Swiglu,
}

/// How attention is computed; both give the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKernel {
    /// A fused kernel, LibTorch's or ours: fastest. Of LibTorch's there are no second derivatives.
    #[default]
    Fused,
    /// Composed of plain operations: for objectives that need second derivatives.
    Composed,
}

/// Shape of a [`crate::CausalTransformer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformerConfig {
    /// Width of hidden states.
    pub width: i64,
    /// Attention heads; they share the width.
    pub heads: i64,
    /// Heads of keys and values, each shared by several heads of queries (grouped-query attention,
    /// Ainslie et al. 2023, arXiv:2305.13245); as many as `heads` where not given.
    pub kv_heads: Option<i64>,
    /// Number of layers.
    pub layers: usize,
    /// Hidden width of the feed-forward network as a multiple of `width`.
    pub expansion: i64,
    /// Normalisation.
    pub norm: NormKind,
    /// Positions.
    pub positions: Positions,
    /// Feed-forward network.
    pub feed_forward: FeedForward,
    /// How attention is computed.
    pub attention: AttentionKernel,
    /// Whether queries, keys and values have biases, as GPT-2's do.
    pub attention_bias: bool,
    /// Dropout rate on both residual branches.
    pub dropout: f64,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            width: 64,
            heads: 4,
            kv_heads: None,
            layers: 2,
            expansion: 4,
            norm: NormKind::LayerNorm,
            positions: Positions::Learned {},
            feed_forward: FeedForward::Gelu,
            attention: AttentionKernel::Fused,
            attention_bias: false,
            dropout: 0.0,
        }
    }
}

impl TransformerConfig {
    /// Width of one head.
    pub(super) fn head_width(&self) -> i64 {
        self.width / self.heads
    }

    /// Heads of keys and values.
    pub(super) fn key_heads(&self) -> i64 {
        self.kv_heads.unwrap_or(self.heads)
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |field: &str, why: String| Err(Error::config(field, why));
        if self.heads < 1 || self.width < 1 || self.width % self.heads != 0 {
            let why = format!("expected heads that divide the width {}", self.width);
            return refuse("heads", format!("{why}, got {}", self.heads));
        }
        let shared = self.key_heads();
        if shared < 1 || self.heads % shared != 0 {
            let why = format!("expected a divisor of {} heads, got {shared}", self.heads);
            return refuse("kv_heads", why);
        }
        if self.expansion < 1 {
            return refuse("expansion", format!("expected at least 1, got {}", self.expansion));
        }
        match self.positions {
            Positions::Rotary { .. } if self.head_width() % 2 != 0 => {
                let why = format!("rotary needs heads of even width, got {}", self.head_width());
                refuse("positions", why)
            }
            Positions::Rotary { base } if base.is_nan() || base <= 1.0 => {
                refuse("positions.base", format!("expected more than 1, got {base}"))
            }
            _ => Ok(()),
        }
    }
}
