//! A transformer in which every token sees the whole sequence.

use super::config::TransformerConfig;
use super::stack::{Kind, Stack, View};
use crate::Scope;
use maxlik_tensor::{Error, Result, check};
use tch::Tensor;

/// The layers of a [`super::CausalTransformer`] without the causal mask: the output at a token depends on
/// the whole sequence, but for padding (Vaswani et al. 2017, arXiv:1706.03762, section 3.1).
#[derive(Debug)]
pub struct Encoder {
    stack: Stack,
}

impl Encoder {
    /// An encoder of sequences of up to `length` tokens.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit each other.
    pub fn new(scope: &Scope<'_>, length: i64, config: &TransformerConfig) -> Result<Self> {
        Ok(Self { stack: Stack::new(scope, length, config, Kind::Alone)? })
    }

    /// The longest sequence.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.stack.length()
    }

    /// `[B, S, W] → [B, S, W]`. Where `shown` `[B, S]` is given, tokens for which it is zero or false are not
    /// looked at, and what comes out at their places means nothing.
    ///
    /// # Errors
    /// [`Error::Shape`] for another width, too many tokens, or a mask of another shape;
    /// [`Error::Config`] for a row of which nothing is shown.
    pub fn forward(&self, h: &Tensor, shown: Option<&Tensor>) -> Result<Tensor> {
        let mask = shown.map(|shown| mask(shown, h)).transpose()?;
        self.stack.run(h, 0, View::Whole(mask.as_ref()))
    }
}

/// What is shown of `[B, S, …]`, as attention takes it: `[B, S]` to `[B, 1, 1, S]` of Booleans.
pub(super) fn mask(shown: &Tensor, of: &Tensor) -> Result<Tensor> {
    let size = of.size();
    check::shape("shown", shown, &size[..size.len().min(2)])?;
    let shown = shown.f_ne(0)?;
    // Attention to nothing is not a number.
    if !bool::try_from(shown.f_any_dim(1, false)?.f_all()?)? {
        return Err(Error::config("shown", "expected at least one token of each row"));
    }
    Ok(shown.f_unsqueeze(1)?.f_unsqueeze(1)?)
}
