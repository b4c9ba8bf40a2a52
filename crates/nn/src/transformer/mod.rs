//! Transformers: the conditioner of autoregressive flows, the trunk of language models, and the two halves
//! of a model from sequence to sequence.

mod attention;
mod cache;
mod config;
mod decoder;
mod encoder;
mod feed_forward;
mod memory;
mod rotary;
mod stack;

pub use cache::Cache;
pub use config::{AttentionKernel, FeedForward, Positions, TransformerConfig};
pub use decoder::Decoder;
pub use encoder::Encoder;
pub use memory::Memory;

use crate::Scope;
use maxlik_tensor::Result;
use stack::{Kind, Stack, View};
use tch::Tensor;

/// A stack of pre-norm layers `h ← h + attention(norm h)`, `h ← h + feed_forward(norm h)` with causal
/// attention, and a last normalisation (Vaswani et al. 2017, arXiv:1706.03762; pre-norm after
/// Radford et al. 2019).
///
/// It maps hidden states `[B, T, W]` to hidden states: embedding and head belong to the model around
/// it. The output at a token depends on that token and those before it only.
#[derive(Debug)]
pub struct CausalTransformer {
    stack: Stack,
}

impl CausalTransformer {
    /// A transformer for sequences of up to `length` tokens.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for numbers that do not fit each other.
    pub fn new(scope: &Scope<'_>, length: i64, config: &TransformerConfig) -> Result<Self> {
        Ok(Self { stack: Stack::new(scope, length, config, Kind::Alone)? })
    }

    /// The same, but token `i` of a sequence stands at place `places[i]`: learned and rotary
    /// positions then follow a permutation of the tokens.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] where there is not one place below the length for each token.
    pub fn at_places(self, places: &[i64]) -> Result<Self> {
        Ok(Self { stack: self.stack.at_places(places)? })
    }

    /// The longest sequence.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.stack.length()
    }

    /// Width of hidden states.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.stack.width()
    }

    /// An empty cache for [`CausalTransformer::extend`].
    #[must_use]
    pub fn cache(&self) -> Cache {
        self.stack.cache()
    }

    /// `[B, T, W] → [B, T, W]` for a whole sequence.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Shape`] for another width or too many tokens.
    pub fn forward(&self, h: &Tensor) -> Result<Tensor> {
        self.stack.run(h, 0, View::Past { cache: None, memory: None })
    }

    /// The same for the next tokens `[B, t, W]` of a sequence whose keys and values are in the
    /// cache, which grows by them. Costs one token's work for each, not the whole sequence's.
    ///
    /// # Errors
    /// As [`CausalTransformer::forward`].
    pub fn extend(&self, h: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        self.stack.extend(h, cache, None)
    }
}
