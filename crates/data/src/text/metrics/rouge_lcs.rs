//! Longest common subsequences.

use std::collections::{BTreeSet, HashMap};

/// The places in `reference` of one longest common subsequence, in order.
///
/// Where there are several, it is rouge-score's: read from the ends, a word of the reference is passed
/// over before one of the prediction where both lead to the same length.
pub(super) fn longest(reference: &[String], prediction: &[String]) -> Vec<usize> {
    let (rows, columns) = (reference.len(), prediction.len());
    let mut table = vec![vec![0_usize; columns + 1]; rows + 1];
    for i in 1..=rows {
        for j in 1..=columns {
            table[i][j] = if reference[i - 1] == prediction[j - 1] {
                table[i - 1][j - 1] + 1
            } else {
                table[i - 1][j].max(table[i][j - 1])
            };
        }
    }
    let (mut i, mut j, mut places) = (rows, columns, Vec::new());
    while i > 0 && j > 0 {
        if reference[i - 1] == prediction[j - 1] {
            (i, j) = (i - 1, j - 1);
            places.push(i);
        } else if table[i][j - 1] > table[i - 1][j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    places.reverse();
    places
}

/// How many words of the reference's lines are in a longest common subsequence with some line of the
/// prediction, each word at most as often as it occurs in either.
pub(super) fn union_hits(reference: &[Vec<String>], prediction: &[Vec<String>]) -> usize {
    let mut left = [number(reference), number(prediction)];
    let mut hits = 0;
    for line in reference {
        let union: BTreeSet<usize> =
            prediction.iter().flat_map(|other| longest(line, other)).collect();
        for place in union {
            let word = line[place].as_str();
            if left.iter().all(|counts| counts.get(word).is_some_and(|count| *count > 0)) {
                hits += 1;
                for counts in &mut left {
                    counts.entry(word).and_modify(|count| *count -= 1);
                }
            }
        }
    }
    hits
}

fn number(lines: &[Vec<String>]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for word in lines.iter().flatten() {
        *counts.entry(word.as_str()).or_default() += 1;
    }
    counts
}
