//! chrF and chrF++, by sacreBLEU's rules.

use super::check_references;
use super::ngrams::{counts, shared};
use super::words::{is_blank, words};
use crate::error::{Error, Result};

/// The F-score of n-grams of characters, chrF (Popović 2015, W15-3049), and of words too, chrF++
/// (Popović 2017, W17-4770), with the results of sacreBLEU:
///
/// `100 (1 + β²) P R / (β² P + R)`
///
/// with `P` and `R` the means of precision and recall over the lengths of n-grams that hypothesis and
/// reference both have. Of several references each sentence takes the one that scores best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chrf {
    /// Longest n-grams of characters; blanks are taken out.
    pub characters: usize,
    /// Longest n-grams of words: 0 for chrF, 2 for chrF++.
    pub words: usize,
    /// Weight `β` of recall.
    pub beta: f64,
    /// Whether case is ignored.
    pub lowercase: bool,
}

impl Default for Chrf {
    fn default() -> Self {
        Self { characters: 6, words: 0, beta: 2.0, lowercase: false }
    }
}

impl Chrf {
    /// chrF++: pairs of words and single ones too.
    #[must_use]
    pub fn plus_plus() -> Self {
        Self { words: 2, ..Self::default() }
    }

    /// The score of a corpus, 0 to 100: one list of references for each hypothesis.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Config`] for a hypothesis without references, no hypothesis, or
    /// numbers that do not fit.
    pub fn corpus<H: AsRef<str>, R: AsRef<str>>(
        &self,
        hypotheses: &[H],
        references: &[Vec<R>],
    ) -> Result<f64> {
        if self.characters + self.words == 0 {
            return Err(Error::config("characters and words", "expected at least 1, got 0"));
        }
        if !(self.beta.is_finite() && self.beta > 0.0) {
            let why = format!("expected a positive number, got {}", self.beta);
            return Err(Error::config("beta", why));
        }
        check_references(hypotheses.len(), references)?;
        let mut total = vec![Matches::default(); self.characters + self.words];
        for (hypothesis, references) in hypotheses.iter().zip(references) {
            for (sum, own) in total.iter_mut().zip(self.best(hypothesis.as_ref(), references)) {
                sum.hypothesis += own.hypothesis;
                sum.reference += own.reference;
                sum.shared += own.shared;
            }
        }
        Ok(self.score(&total))
    }

    /// The score of one sentence, 0 to 100.
    ///
    /// # Errors
    /// As [`Chrf::corpus`].
    pub fn sentence<R: AsRef<str>>(&self, hypothesis: &str, references: &[R]) -> Result<f64> {
        let references: Vec<&str> = references.iter().map(AsRef::as_ref).collect();
        self.corpus(&[hypothesis], &[references])
    }

    /// Matches with the reference that scores best, of equals the first.
    fn best<R: AsRef<str>>(&self, hypothesis: &str, references: &[R]) -> Vec<Matches> {
        let hypothesis = Text::of(hypothesis, self);
        let mut best: Option<(f64, Vec<Matches>)> = None;
        for reference in references {
            let matches = hypothesis.matches(&Text::of(reference.as_ref(), self), self);
            let score = self.score(&matches);
            if best.as_ref().is_none_or(|(known, _)| score > *known) {
                best = Some((score, matches));
            }
        }
        best.map_or_else(Vec::new, |(_, matches)| matches)
    }

    fn score(&self, all: &[Matches]) -> f64 {
        let usable: Vec<&Matches> =
            all.iter().filter(|m| m.hypothesis > 0 && m.reference > 0).collect();
        let mean = |total: fn(&Matches) -> usize| {
            let shares = usable.iter().map(|m| m.shared as f64 / total(m) as f64);
            shares.sum::<f64>() / usable.len().max(1) as f64
        };
        let (precision, recall) = (mean(|m| m.hypothesis), mean(|m| m.reference));
        if precision + recall == 0.0 {
            return 0.0;
        }
        let factor = self.beta * self.beta;
        100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)
    }
}

/// Numbers of n-grams of one length.
#[derive(Debug, Clone, Copy, Default)]
struct Matches {
    hypothesis: usize,
    reference: usize,
    shared: usize,
}

/// What n-grams are taken from.
struct Text {
    characters: Vec<char>,
    words: Vec<String>,
}

impl Text {
    fn of(text: &str, chrf: &Chrf) -> Self {
        let text = if chrf.lowercase { text.to_lowercase() } else { text.to_owned() };
        let characters = text.chars().filter(|c| !is_blank(*c)).collect();
        let words = if chrf.words > 0 { words(&text).flat_map(apart).collect() } else { vec![] };
        Self { characters, words }
    }

    fn matches(&self, reference: &Self, chrf: &Chrf) -> Vec<Matches> {
        let of_characters =
            (1..=chrf.characters).map(|n| matches(&self.characters, &reference.characters, n));
        let of_words = (1..=chrf.words).map(|n| matches(&self.words, &reference.words, n));
        of_characters.chain(of_words).collect()
    }
}

fn matches<T: std::hash::Hash + Eq>(hypothesis: &[T], reference: &[T], n: usize) -> Matches {
    let number = |sequence: &[T]| (sequence.len() + 1).saturating_sub(n);
    // Of a length that the reference does not have, nothing counts.
    let known = number(reference) > 0;
    Matches {
        hypothesis: if known { number(hypothesis) } else { 0 },
        reference: number(reference),
        shared: shared(&counts(hypothesis, n), &counts(reference, n)),
    }
}

/// A word, one punctuation mark at its end apart; where there is none, one at its beginning.
fn apart(word: &str) -> Vec<String> {
    let mut characters = word.chars();
    let (first, last) = (characters.next(), characters.next_back());
    match (first, last) {
        (Some(_), Some(last)) if last.is_ascii_punctuation() => {
            let cut = word.len() - last.len_utf8();
            vec![word[..cut].to_owned(), word[cut..].to_owned()]
        }
        (Some(first), Some(_)) if first.is_ascii_punctuation() => {
            vec![word[..first.len_utf8()].to_owned(), word[first.len_utf8()..].to_owned()]
        }
        _ => vec![word.to_owned()],
    }
}
