//! ROUGE, by rouge-score's rules.

use super::ngrams::{counts, shared};
use super::overlap::Overlap;
use super::rouge_lcs::{longest, union_hits};

/// What two texts have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RougeKind {
    /// ROUGE-N: n-grams, each at most as often as in the other text.
    Ngrams {
        /// Their length; zero is taken as one.
        n: usize,
    },
    /// ROUGE-L: the longest common subsequence of words.
    Longest,
    /// ROUGE-Lsum: for each line of the reference, the words that are in a longest common subsequence
    /// with some line of the prediction; no word counts more often than it occurs in either text.
    LongestByLine,
}

/// ROUGE (Lin 2004, W04-1013), with the results of Google's rouge-score without its stemmer: words are
/// runs of ASCII letters and digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rouge {
    /// What is compared.
    pub kind: RougeKind,
}

impl Rouge {
    /// A score of this kind.
    #[must_use]
    pub fn new(kind: RougeKind) -> Self {
        Self { kind }
    }

    /// The score of a prediction against a reference.
    #[must_use]
    pub fn score(&self, reference: &str, prediction: &str) -> Overlap {
        match self.kind {
            RougeKind::Ngrams { n } => {
                let (n, reference, prediction) = (n.max(1), words(reference), words(prediction));
                let shared = shared(&counts(&reference, n), &counts(&prediction, n));
                let number = |words: &[String]| (words.len() + 1).saturating_sub(n);
                Overlap::new(shared, number(&prediction), number(&reference))
            }
            RougeKind::Longest => {
                let (reference, prediction) = (words(reference), words(prediction));
                let length = longest(&reference, &prediction).len();
                Overlap::new(length, prediction.len(), reference.len())
            }
            RougeKind::LongestByLine => {
                let lines = |text: &str| text.split('\n').map(words).collect::<Vec<_>>();
                let (reference, prediction) = (lines(reference), lines(prediction));
                let number = |lines: &[Vec<String>]| lines.iter().map(Vec::len).sum();
                let hits = union_hits(&reference, &prediction);
                Overlap::new(hits, number(&prediction), number(&reference))
            }
        }
    }

    /// The score against the reference with the best F1, of equals the first; none without references.
    #[must_use]
    pub fn best<R: AsRef<str>>(&self, references: &[R], prediction: &str) -> Option<Overlap> {
        let scores = references.iter().map(|r| self.score(r.as_ref(), prediction));
        scores.reduce(|best, next| if next.f1 > best.f1 { next } else { best })
    }
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let runs = lower.split(|c: char| !c.is_ascii_alphanumeric());
    runs.filter(|run| !run.is_empty()).map(str::to_owned).collect()
}
