//! Byte-pair encoding by Hugging Face's `tokenizers`.

use super::tokenizer::{Tokenizer, no_token};
use crate::error::{Error, Result};
use std::path::Path;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::byte_level::ByteLevel as Offsets;
use tokenizers::{AddedToken, TokenizerBuilder, TokenizerImpl};

/// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) over bytes, as GPT-2's: every text has
/// tokens, and decoding gives it back (in Unicode's normal form C).
///
/// Tokens of the file are shifted by one, since zero is the boundary between documents here.
#[derive(Debug)]
pub struct Bpe {
    inner: tokenizers::Tokenizer,
}

impl Bpe {
    /// Learns merges from documents until there are `vocabulary` tokens, or no pair is left.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer tokens than the boundary and the 256 bytes.
    pub fn train(documents: &[String], vocabulary: usize) -> Result<Self> {
        if vocabulary < 257 {
            let why = format!("expected at least 257 (boundary and bytes), got {vocabulary}");
            return Err(Error::config("vocabulary", why));
        }
        let refuse = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::config("documents", format!("byte pairs cannot be learned: {e}"))
        };
        let mut trainer = BpeTrainerBuilder::new()
            .show_progress(false)
            .vocab_size(vocabulary - 1)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(Vec::<AddedToken>::new())
            .build();
        let mut learned: TokenizerImpl<BPE, NFC, ByteLevel, Offsets, ByteLevel> =
            TokenizerBuilder::new()
                .with_model(BPE::default())
                .with_normalizer(Some(NFC))
                .with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(false)))
                .with_post_processor(Some(Offsets::default()))
                .with_decoder(Some(ByteLevel::default()))
                .build()
                .map_err(refuse)?;
        learned.train(&mut trainer, documents.iter()).map_err(refuse)?;
        Ok(Self { inner: learned.into() })
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that is not one.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes);
        Ok(Self { inner: inner.map_err(|e| Error::format(path, e.to_string()))? })
    }

    /// Writes a `tokenizer.json` that Hugging Face's other tools read.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = self.inner.to_string(true).map_err(|e| Error::format(path, e.to_string()))?;
        std::fs::write(path, json).map_err(|e| Error::io(path, e))
    }
}

impl Tokenizer for Bpe {
    fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true) + 1
    }

    fn encode(&self, text: &str) -> Result<Vec<i64>> {
        let encoded = self.inner.encode(text, false);
        let encoded = encoded.map_err(|e| Error::config("text", e.to_string()))?;
        Ok(encoded.get_ids().iter().map(|&id| i64::from(id) + 1).collect())
    }

    fn decode(&self, tokens: &[i64]) -> Result<String> {
        let id = |&token: &i64| {
            let id =
                u32::try_from(token - 1).ok().filter(|&id| (id as usize) < self.vocabulary() - 1);
            id.ok_or_else(|| no_token(token, self.vocabulary()))
        };
        let documents = tokens.split(|&token| token == self.boundary()).map(|document| {
            let ids: Vec<u32> = document.iter().map(id).collect::<Result<_>>()?;
            self.inner.decode(&ids, false).map_err(|e| Error::config("tokens", e.to_string()))
        });
        Ok(documents.collect::<Result<Vec<String>>>()?.join("\n"))
    }
}
