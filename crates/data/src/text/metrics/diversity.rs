//! How much texts repeat themselves, and each other.

use super::bleu::{Bleu, Statistics};
use super::ngrams::{Counts, counts_up_to};
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Distinct-n (Li et al. 2016, arXiv:1510.03055): the number of different n-grams of all sequences over
/// the number of n-grams. One where none comes twice; not a number where there is none.
#[must_use]
pub fn distinct<T: Hash + Eq, S: AsRef<[T]>>(sequences: &[S], n: usize) -> f64 {
    let ngrams = || sequences.iter().flat_map(|s| s.as_ref().windows(n.max(1)));
    ngrams().collect::<HashSet<&[T]>>().len() as f64 / ngrams().count() as f64
}

/// Seq-rep-n (Welleck et al. 2020, arXiv:1908.04319): one minus the share of different n-grams within
/// one sequence. Zero where none comes twice, also for a sequence without n-grams.
#[must_use]
pub fn repetition<T: Hash + Eq>(sequence: &[T], n: usize) -> f64 {
    let number = sequence.windows(n.max(1)).count();
    if number == 0 { 0.0 } else { 1.0 - distinct(&[sequence], n) }
}

/// Self-BLEU (Zhu et al. 2018, arXiv:1802.01886): the mean BLEU of each text with all others as its
/// references, 0 to 100; 100 where all texts are the same.
///
/// The time grows with the number of words, not with its square: of each n-gram only the two largest
/// counts are kept.
///
/// # Errors
/// [`Error::Config`] for fewer than two texts, or as [`Bleu::corpus`].
pub fn self_bleu<S: AsRef<str>>(texts: &[S], bleu: &Bleu) -> Result<f64> {
    bleu.check()?;
    if texts.len() < 2 {
        return Err(Error::config("texts", format!("expected at least 2, got {}", texts.len())));
    }
    let words: Vec<Vec<String>> = texts.iter().map(|text| bleu.words(text.as_ref())).collect();
    let counts: Vec<Counts<'_, String>> =
        words.iter().map(|words| counts_up_to(words, bleu.order)).collect();
    let mut largest: HashMap<&[String], Largest> = HashMap::new();
    let mut lengths: Vec<usize> = words.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    for (owner, own) in counts.iter().enumerate() {
        for (ngram, count) in own {
            largest.entry(ngram).or_default().add(owner, *count);
        }
    }
    let mut sum = 0.0;
    for (owner, own) in counts.iter().enumerate() {
        let mut found = Statistics::new(bleu.order);
        let most = |ngram: &[String]| largest.get(ngram).map_or(0, |l| l.without(owner));
        found.count(own, most);
        found.hypothesis_length = words[owner].len();
        found.reference_length = closest(&lengths, words[owner].len());
        sum += bleu.score(&found).score;
    }
    Ok(sum / texts.len() as f64)
}

/// The length closest to `own` of sorted ones without `own` itself, of equals the shorter.
fn closest(sorted: &[usize], own: usize) -> usize {
    let at = sorted.partition_point(|length| *length < own);
    let neighbours = [at.checked_sub(1), at.checked_add(1)].into_iter().flatten();
    let lengths = neighbours.filter_map(|at| sorted.get(at).copied());
    lengths.min_by_key(|length| (length.abs_diff(own), *length)).unwrap_or_default()
}

/// The largest count of an n-gram in one text, and the largest in any other.
#[derive(Debug, Default)]
struct Largest {
    owner: usize,
    first: usize,
    second: usize,
}

impl Largest {
    fn add(&mut self, owner: usize, count: usize) {
        if count > self.first {
            *self = Self { owner, first: count, second: self.first };
        } else {
            self.second = self.second.max(count);
        }
    }

    fn without(&self, owner: usize) -> usize {
        if owner == self.owner { self.second } else { self.first }
    }
}
