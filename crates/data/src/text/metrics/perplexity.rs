//! Perplexity.

use super::words::words;

/// A text's negative log-likelihood, and what it can be divided by: numbers of models with different
/// tokens compare per byte or per word, not per token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nats {
    /// `−ln p` of the whole text, in nats.
    pub nats: f64,
    /// Tokens that were predicted.
    pub tokens: usize,
    /// Words of the text: what stands between blanks.
    pub words: usize,
    /// Bytes of the text in UTF-8.
    pub bytes: usize,
}

impl Nats {
    /// Of a text whose `tokens` tokens cost `nats` together.
    #[must_use]
    pub fn of(nats: f64, tokens: usize, text: &str) -> Self {
        Self { nats, tokens, words: words(text).count(), bytes: text.len() }
    }

    /// The sum over two texts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            nats: self.nats + other.nats,
            tokens: self.tokens + other.tokens,
            words: self.words + other.words,
            bytes: self.bytes + other.bytes,
        }
    }

    /// `exp(nats / tokens)`; not a number for no tokens.
    #[must_use]
    pub fn per_token(self) -> f64 {
        (self.nats / self.tokens as f64).exp()
    }

    /// `exp(nats / words)`; what predicting blanks and ends costs counts too.
    #[must_use]
    pub fn per_word(self) -> f64 {
        (self.nats / self.words as f64).exp()
    }

    /// `exp(nats / bytes)`.
    #[must_use]
    pub fn per_byte(self) -> f64 {
        (self.nats / self.bytes as f64).exp()
    }

    /// `nats / (bytes ln 2)`.
    #[must_use]
    pub fn bits_per_byte(self) -> f64 {
        self.nats / (self.bytes as f64 * std::f64::consts::LN_2)
    }
}
