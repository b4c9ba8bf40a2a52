//! BLEU, by sacreBLEU's rules.

use super::check_references;
use super::ngrams::{Counts, counts_up_to};
use super::words::BleuTokens;
use crate::error::{Error, Result};

/// What stands for a precision of zero, so that one missing n-gram does not make the whole score zero
/// (Chen and Cherry 2014, W14-3346). Where no n-gram at all is right, the score is zero with each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Smoothing {
    /// Nothing: the score is zero.
    None,
    /// `value / total`.
    Floor {
        /// Count for none, 0.1 by sacreBLEU's default.
        value: f64,
    },
    /// `(count + k) / (total + k)` for all n-grams longer than one, right or not.
    AddK {
        /// Addend, 1 by sacreBLEU's default.
        k: f64,
    },
    /// `2^-j / total` for the j-th precision that is zero: sacreBLEU's default.
    #[default]
    Exponential,
}

/// BLEU (Papineni et al. 2002, P02-1040), with the results of sacreBLEU (Post 2018, arXiv:1804.08771):
///
/// `100 · min(1, exp(1 − r/c)) · exp(1/N Σ_n ln p_n)`
///
/// with `p_n` the share of a corpus's n-grams that a reference has, each counted at most as often as in
/// the reference that has it most; `c` the length of the hypotheses, `r` that of the references closest
/// in length, of two equally close ones the shorter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bleu {
    /// How text is cut into words.
    pub tokens: BleuTokens,
    /// What stands for zero.
    pub smoothing: Smoothing,
    /// Longest n-grams `N`.
    pub order: usize,
    /// Whether only the lengths that a hypothesis has are averaged: for single sentences.
    pub effective_order: bool,
    /// Whether case is ignored.
    pub lowercase: bool,
}

impl Default for Bleu {
    fn default() -> Self {
        Self {
            tokens: BleuTokens::V13a,
            smoothing: Smoothing::Exponential,
            order: 4,
            effective_order: false,
            lowercase: false,
        }
    }
}

/// A score with its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct BleuScore {
    /// The score, 0 to 100.
    pub score: f64,
    /// Smoothed precisions in percent, one for each length of n-grams.
    pub precisions: Vec<f64>,
    /// The brevity penalty, 0 to 1.
    pub brevity: f64,
    /// Words of the hypotheses.
    pub hypothesis_length: usize,
    /// Words of the references that are closest in length.
    pub reference_length: usize,
}

impl Bleu {
    /// The default for single sentences: only the lengths of n-grams that there are.
    #[must_use]
    pub fn sentence_level() -> Self {
        Self { effective_order: true, ..Self::default() }
    }

    /// The score of a corpus: one list of references for each hypothesis.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Config`] for a hypothesis without references, no hypothesis, or an
    /// order of zero.
    pub fn corpus<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[Vec<R>],
    ) -> Result<BleuScore> {
        self.check()?;
        check_references(hypotheses.len(), references)?;
        let mut total = Statistics::new(self.order);
        for (hypothesis, references) in hypotheses.iter().zip(references) {
            total.add(hypothesis.as_ref(), references, self);
        }
        Ok(self.score(&total))
    }

    /// The score of one sentence. sacreBLEU advises [`Bleu::sentence_level`] for it.
    ///
    /// # Errors
    /// As [`Bleu::corpus`].
    pub fn sentence<R: AsRef<str>>(&self, hypothesis: &str, references: &[R]) -> Result<BleuScore> {
        let references: Vec<&str> = references.iter().map(AsRef::as_ref).collect();
        self.corpus(&[hypothesis], &[references])
    }

    pub(super) fn check(&self) -> Result<()> {
        let at_least = match self.smoothing {
            Smoothing::Floor { value } => value,
            Smoothing::AddK { k } => k,
            Smoothing::None | Smoothing::Exponential => 0.0,
        };
        if self.order == 0 {
            return Err(Error::config("order", "expected at least 1, got 0"));
        }
        if !(at_least.is_finite() && at_least >= 0.0) {
            let why = format!("expected a finite number from 0 on, got {at_least}");
            return Err(Error::config("smoothing", why));
        }
        Ok(())
    }

    /// The words of a text.
    pub(super) fn words(&self, text: &str) -> Vec<String> {
        if self.lowercase {
            self.tokens.split(&text.to_lowercase())
        } else {
            self.tokens.split(text)
        }
    }

    pub(super) fn score(&self, found: &Statistics) -> BleuScore {
        let (c, r) = (found.hypothesis_length as f64, found.reference_length as f64);
        let brevity = match found.hypothesis_length {
            length if length >= found.reference_length => 1.0,
            0 => 0.0,
            _ => (1.0 - r / c).exp(),
        };
        let mut precisions = vec![0.0; self.order];
        let score = if found.right.iter().any(|right| *right > 0) {
            let used = self.precisions(found, &mut precisions);
            let logs: f64 = precisions[..used].iter().map(|p| p.ln()).sum();
            brevity * (logs / used as f64).exp()
        } else {
            0.0
        };
        BleuScore {
            score,
            precisions,
            brevity,
            hypothesis_length: found.hypothesis_length,
            reference_length: found.reference_length,
        }
    }

    /// Fills in the precisions, and says how many of them are averaged.
    fn precisions(&self, found: &Statistics, precisions: &mut [f64]) -> usize {
        let mut used = self.order;
        let mut halved = 1.0;
        for (at, precision) in precisions.iter_mut().enumerate() {
            let added = match self.smoothing {
                Smoothing::AddK { k } if at > 0 => k,
                _ => 0.0,
            };
            let right = found.right[at] as f64 + added;
            let total = found.total[at] as f64 + added;
            if total == 0.0 {
                break;
            }
            if self.effective_order {
                used = at + 1;
            }
            *precision = 100.0 * right / total;
            if right == 0.0 {
                match self.smoothing {
                    Smoothing::Exponential => {
                        halved *= 2.0;
                        *precision = 100.0 / (halved * total);
                    }
                    Smoothing::Floor { value } => *precision = 100.0 * value / total,
                    Smoothing::None | Smoothing::AddK { .. } => {}
                }
            }
        }
        used
    }
}

/// What BLEU is computed from: sums over the sentences of a corpus.
#[derive(Debug)]
pub(super) struct Statistics {
    pub(super) right: Vec<usize>,
    pub(super) total: Vec<usize>,
    pub(super) hypothesis_length: usize,
    pub(super) reference_length: usize,
}

impl Statistics {
    pub(super) fn new(order: usize) -> Self {
        Self {
            right: vec![0; order],
            total: vec![0; order],
            hypothesis_length: 0,
            reference_length: 0,
        }
    }

    fn add<R: AsRef<str>>(&mut self, hypothesis: &str, references: &[R], bleu: &Bleu) {
        let words = bleu.words(hypothesis);
        let references: Vec<Vec<String>> =
            references.iter().map(|reference| bleu.words(reference.as_ref())).collect();
        let mut most: Counts<'_, String> = Counts::new();
        for reference in &references {
            for (ngram, count) in counts_up_to(reference, bleu.order) {
                let known = most.entry(ngram).or_default();
                *known = count.max(*known);
            }
        }
        let own = counts_up_to(&words, bleu.order);
        self.count(&own, |ngram| most.get(ngram).copied().unwrap_or_default());
        self.hypothesis_length += words.len();
        let lengths = references.iter().map(Vec::len);
        let closest = lengths.min_by_key(|length| (length.abs_diff(words.len()), *length));
        self.reference_length += closest.unwrap_or_default();
    }

    /// Adds the n-grams of a hypothesis, each at most as often as `most` says.
    pub(super) fn count(&mut self, own: &Counts<'_, String>, most: impl Fn(&[String]) -> usize) {
        for (ngram, count) in own {
            self.total[ngram.len() - 1] += count;
            self.right[ngram.len() - 1] += most(ngram).min(*count);
        }
    }
}
