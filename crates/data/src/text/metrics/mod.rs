//! Measures of text: against references, against the text itself, and between two sets of texts.
//!
//! | measure | in | equal to |
//! |---|---|---|
//! | [`Bleu`] of corpora and sentences | `bleu.rs` | sacreBLEU |
//! | [`Chrf`]: chrF, chrF++ | `chrf.rs` | sacreBLEU |
//! | [`Rouge`]: ROUGE-N, ROUGE-L, ROUGE-Lsum | `rouge.rs` | rouge-score, without its stemmer |
//! | [`set_overlap`]: precision, recall, F1 of sets of n-grams | `overlap.rs` | |
//! | [`Nats`]: perplexity per token, word, byte | `perplexity.rs` | |
//! | [`distinct`], [`repetition`], [`self_bleu`] | `diversity.rs` | |
//! | [`Frontier`]: MAUVE's divergence frontier of histograms | `frontier.rs` | |
//! | [`kendall_tau`] of two rankings | `kendall.rs` | SciPy's `kendalltau` |
//!
//! ```
//! use maxlik_data::text::metrics::{Bleu, Chrf, Rouge, RougeKind};
//! let (hypothesis, reference) = ("the cat sat on a mat", "the cat sat on the mat");
//! let bleu = Bleu::sentence_level().sentence(hypothesis, &[reference])?;
//! let chrf = Chrf::default().sentence(hypothesis, &[reference])?;
//! let rouge = Rouge::new(RougeKind::Longest).score(reference, hypothesis);
//! assert!(bleu.score > 50.0 && chrf > 60.0 && rouge.f1 > 0.8);
//! # Ok::<(), maxlik_data::Error>(())
//! ```

mod bleu;
mod chrf;
mod diversity;
mod frontier;
mod kendall;
mod ngrams;
mod overlap;
mod perplexity;
mod rouge;
mod rouge_lcs;
mod words;

pub use bleu::{Bleu, BleuScore, Smoothing};
pub use chrf::Chrf;
pub use diversity::{distinct, repetition, self_bleu};
pub use frontier::{Frontier, FrontierPoint, Histograms};
pub use kendall::kendall_tau;
pub use overlap::{Overlap, set_overlap};
pub use perplexity::Nats;
pub use rouge::{Rouge, RougeKind};
pub use words::BleuTokens;

use crate::error::{Error, Result};

/// Checks that each of the hypotheses has references.
fn check_references<R>(hypotheses: usize, references: &[Vec<R>]) -> Result<()> {
    if hypotheses == 0 {
        return Err(Error::config("hypotheses", "expected at least one"));
    }
    if references.len() != hypotheses {
        let got = format!("{} lists", references.len());
        return Err(Error::shape("references", format!("{hypotheses} lists"), got));
    }
    match references.iter().position(Vec::is_empty) {
        Some(at) => {
            Err(Error::config("references", format!("hypothesis {at}: expected at least one")))
        }
        None => Ok(()),
    }
}
