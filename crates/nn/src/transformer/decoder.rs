//! A causal transformer that also looks at another sequence.

use super::cache::Cache;
use super::config::TransformerConfig;
use super::encoder::mask;
use super::memory::Memory;
use super::stack::{Kind, Stack, View};
use crate::Scope;
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// The layers of a [`super::CausalTransformer`], with attention to another sequence between the two
/// others of each: `h ← h + cross_attention(norm h, memory)` (Vaswani et al. 2017, arXiv:1706.03762, section
/// 3.1). Places of the two sequences are not compared: cross-attention rotates nothing.
#[derive(Debug)]
pub struct Decoder {
    stack: Stack,
}

impl Decoder {
    /// A decoder of sequences of up to `length` tokens.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit each other.
    pub fn new(scope: &Scope<'_>, length: i64, config: &TransformerConfig) -> Result<Self> {
        Ok(Self { stack: Stack::new(scope, length, config, Kind::WithMemory)? })
    }

    /// The same once more: its parameters are this one's, also where they are trained.
    #[must_use]
    pub fn share(&self) -> Self {
        Self { stack: self.stack.share() }
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

    /// An empty cache for [`Decoder::extend`].
    #[must_use]
    pub fn cache(&self) -> Cache {
        self.stack.cache()
    }

    /// What the layers see of another sequence, encoded as `[B, S, W]`; of its tokens those are hidden for
    /// which `shown` `[B, S]`, where given, is zero or false.
    ///
    /// # Errors
    /// [`Error::Shape`] for another width or a mask of another shape; [`Error::Config`] for a row of
    /// which nothing is shown.
    pub fn memory(&self, encoded: &Tensor, shown: Option<&Tensor>) -> Result<Memory> {
        match encoded.size().as_slice() {
            &[_, _, width] if width == self.stack.width() => {}
            size => {
                let expected = format!("[B, S, {}]", self.stack.width());
                return Err(Error::shape("encoded", expected, size));
            }
        }
        self.stack.memory(encoded, shown.map(|shown| mask(shown, encoded)).transpose()?)
    }

    /// `[B, T, W] → [B, T, W]` for a whole sequence; the output at a token depends on those up to it, and on
    /// all that is shown of the memory.
    ///
    /// # Errors
    /// [`Error::Shape`] for another width or too many tokens; [`Error::Config`] for the memory of another
    /// decoder.
    pub fn forward(&self, h: &Tensor, memory: &Memory) -> Result<Tensor> {
        self.stack.run(h, 0, View::Past { cache: None, memory: Some(memory) })
    }

    /// The same for the next tokens `[B, t, W]` of a sequence whose keys and values are in the cache.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn extend(&self, h: &Tensor, cache: &mut Cache, memory: &Memory) -> Result<Tensor> {
        self.stack.extend(h, cache, Some(memory))
    }
}
