//! Counts of n-grams.

use std::collections::HashMap;
use std::hash::Hash;

/// How often each n-gram of a sequence occurs.
pub(super) type Counts<'a, T> = HashMap<&'a [T], usize>;

/// Counts of the n-grams of one length.
pub(super) fn counts<T: Hash + Eq>(sequence: &[T], n: usize) -> Counts<'_, T> {
    let mut found = HashMap::new();
    add(&mut found, sequence, n);
    found
}

/// Counts of the n-grams of all lengths up to `order`.
pub(super) fn counts_up_to<T: Hash + Eq>(sequence: &[T], order: usize) -> Counts<'_, T> {
    let mut found = HashMap::new();
    for n in 1..=order {
        add(&mut found, sequence, n);
    }
    found
}

fn add<'a, T: Hash + Eq>(found: &mut Counts<'a, T>, sequence: &'a [T], n: usize) {
    // `windows` of nothing would panic.
    if n > 0 {
        for ngram in sequence.windows(n) {
            *found.entry(ngram).or_default() += 1;
        }
    }
}

/// `Σ min` of the counts of two sequences: how many n-grams they share.
pub(super) fn shared<T: Hash + Eq>(a: &Counts<'_, T>, b: &Counts<'_, T>) -> usize {
    a.iter().map(|(ngram, count)| b.get(ngram).map_or(0, |other| *count.min(other))).sum()
}
