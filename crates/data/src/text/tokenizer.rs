//! Text to numbers and back.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// A vocabulary: text to tokens `0, 1, …, V − 1` and back. Token zero is the boundary between documents.
pub trait Tokenizer: Debug {
    /// Number of tokens `V`, the boundary included.
    fn vocabulary(&self) -> usize;

    /// The tokens of a text; none of them is the boundary.
    ///
    /// # Errors
    /// [`Error::Unknown`] for what the vocabulary does not hold.
    fn encode(&self, text: &str) -> Result<Vec<i64>>;

    /// The text of tokens. The boundary becomes a line of its own end, and what is not text (bytes in the
    /// middle of a character) U+FFFD.
    ///
    /// # Errors
    /// [`Error::Config`] for a number that is no token.
    fn decode(&self, tokens: &[i64]) -> Result<String>;

    /// The token between documents.
    fn boundary(&self) -> i64 {
        0
    }
}

pub(super) fn no_token(token: i64, vocabulary: usize) -> Error {
    Error::config("tokens", format!("expected numbers from 0 to below {vocabulary}, got {token}"))
}

/// A token for each character of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Characters {
    /// By token, from one on; sorted.
    characters: Vec<char>,
    tokens: BTreeMap<char, i64>,
}

impl Characters {
    /// All characters of these documents.
    #[must_use]
    pub fn of(documents: &[String]) -> Self {
        let all: std::collections::BTreeSet<char> =
            documents.iter().flat_map(|document| document.chars()).collect();
        let tokens = all.iter().zip(1..).map(|(&c, token)| (c, token)).collect();
        Self { characters: all.into_iter().collect(), tokens }
    }
}

impl Tokenizer for Characters {
    fn vocabulary(&self) -> usize {
        self.characters.len() + 1
    }

    fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let token = |c: char| {
            self.tokens.get(&c).copied().ok_or_else(|| Error::Unknown {
                what: "character".to_owned(),
                got: c.escape_debug().to_string(),
                known: self.characters.iter().map(|c| c.escape_debug().to_string()).collect(),
            })
        };
        text.chars().map(token).collect()
    }

    fn decode(&self, tokens: &[i64]) -> Result<String> {
        let character = |&token: &i64| match token {
            0 => Ok('\n'),
            _ => usize::try_from(token - 1)
                .ok()
                .and_then(|at| self.characters.get(at).copied())
                .ok_or_else(|| no_token(token, self.vocabulary())),
        };
        tokens.iter().map(character).collect()
    }
}

/// A token for each byte of UTF-8: 257 of them, and every text has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes;

impl Tokenizer for Bytes {
    fn vocabulary(&self) -> usize {
        257
    }

    fn encode(&self, text: &str) -> Result<Vec<i64>> {
        Ok(text.bytes().map(|byte| i64::from(byte) + 1).collect())
    }

    fn decode(&self, tokens: &[i64]) -> Result<String> {
        let byte = |&token: &i64| match token {
            0 => Ok(b'\n'),
            _ => u8::try_from(token - 1).map_err(|_| no_token(token, self.vocabulary())),
        };
        let bytes: Vec<u8> = tokens.iter().map(byte).collect::<Result<_>>()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
