//! Precision, recall and F1.

use std::collections::HashSet;
use std::hash::Hash;

/// How much of a hypothesis is in a reference, and the other way round; each in 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Overlap {
    /// Share of the hypothesis that the reference has.
    pub precision: f64,
    /// Share of the reference that the hypothesis has.
    pub recall: f64,
    /// Their harmonic mean; zero where both are.
    pub f1: f64,
}

impl Overlap {
    /// From the number of common items, and those of both sides; a side without items has share zero.
    #[must_use]
    pub fn new(shared: usize, hypothesis: usize, reference: usize) -> Self {
        let precision = shared as f64 / hypothesis.max(1) as f64;
        let recall = shared as f64 / reference.max(1) as f64;
        let sum = precision + recall;
        let f1 = if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 };
        Self { precision, recall, f1 }
    }
}

/// Overlap of the *sets* of n-grams, however often they occur: the utility that minimum Bayes risk
/// decoding uses as a cheap one (Eikema and Aziz 2022, arXiv:2108.04718). F1 is symmetric.
///
/// Two sequences without n-grams of this length, two empty ones among them, are taken to agree: all
/// three numbers are one.
#[must_use]
pub fn set_overlap<T: Hash + Eq>(hypothesis: &[T], reference: &[T], n: usize) -> Overlap {
    // A length of zero is taken as one, since `windows` of nothing would panic.
    let set = |sequence| <[T]>::windows(sequence, n.max(1)).collect::<HashSet<&[T]>>();
    let (hypothesis, reference): (HashSet<&[T]>, HashSet<&[T]>) = (set(hypothesis), set(reference));
    if hypothesis.is_empty() && reference.is_empty() {
        return Overlap { precision: 1.0, recall: 1.0, f1: 1.0 };
    }
    let shared = hypothesis.intersection(&reference).count();
    Overlap::new(shared, hypothesis.len(), reference.len())
}
