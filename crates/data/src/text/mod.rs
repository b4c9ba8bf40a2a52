//! Text: documents from files, tokens, rows of equal length for a language model, and what is measured
//! of text ([`metrics`]).
//!
//! ```
//! use maxlik_data::text::{Characters, Tokenizer, pack, sonnets};
//! let documents = vec![sonnets()?];
//! let tokenizer = Characters::of(&documents);
//! let tokens: Vec<Vec<i64>> =
//!     documents.iter().map(|d| tokenizer.encode(d)).collect::<Result<_, _>>()?;
//! let rows = pack(&tokens, 128, tokenizer.boundary())?;
//! assert_eq!(rows.tokens.ncols(), 129);
//! # Ok::<(), maxlik_data::Error>(())
//! ```

#[cfg(feature = "bpe")]
mod bpe;
mod corpus;
pub mod metrics;
pub mod noise;
mod rows;
mod sonnets;
mod tokenizer;

#[cfg(feature = "bpe")]
pub use bpe::Bpe;
pub use corpus::{Parts, divide, read};
pub use rows::{Pair, Sequences, pack, pad, pairs};
pub use sonnets::sonnets;
pub use tokenizer::{Bytes, Characters, Tokenizer};
