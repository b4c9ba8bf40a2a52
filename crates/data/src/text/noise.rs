//! Noise in the words of a text, for models that are to be robust against it.
//!
//! All functions are pure in their generator: the same one gives the same noise. A strength of zero is the
//! identity. (Liu et al. 2021, "Noisy self-knowledge distillation for text summarization", NAACL 2021,
//! arXiv:2009.07032, section 3.2; the shuffle is that of Lample et al. 2018, arXiv:1711.00043.)
//!
//! ```
//! use maxlik_data::random::Stream;
//! use maxlik_data::text::noise::{drop_words, shuffle_sentences, shuffle_words};
//! let words: Vec<&str> = "a cat . a dog . a mouse .".split(' ').collect();
//! let mut rng = Stream::new(7, "noise").rng(0);
//! let fewer = drop_words(&words, 0.1, |word| *word == ".", &mut rng)?;
//! assert_eq!(fewer.iter().filter(|word| **word == ".").count(), 3);
//! assert_eq!(shuffle_words(&words, 2, &mut rng).len(), 9);
//! assert_eq!(shuffle_sentences(&words, &".", 0, &mut rng), words);
//! # Ok::<(), maxlik_data::Error>(())
//! ```

use crate::error::{Error, Result};
use crate::random::open_unit;
use rand_chacha::ChaCha8Rng;

/// Leaves out each word with probability `p`, but for those that `kept` says stay (marks, ends of
/// sentences).
///
/// # Errors
/// [`Error::Config`] for a number outside `[0, 1]`.
pub fn drop_words<T: Clone>(
    words: &[T],
    p: f64,
    kept: impl Fn(&T) -> bool,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<T>> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::config("p", format!("expected a number in [0, 1], got {p}")));
    }
    let left = words.iter().filter(|word| kept(word) || open_unit(rng) >= p);
    Ok(left.cloned().collect())
}

/// Moves each word by at most `k` places: word `i` is sorted by `i + (k + 1) u` with `u` uniform on (0, 1).
///
/// The words that end before word `i` are among those up to `i + k`, and all up to `i − k − 1` are:
/// hence the bound.
pub fn shuffle_words<T: Clone>(words: &[T], k: usize, rng: &mut ChaCha8Rng) -> Vec<T> {
    order(words.len(), k, rng).into_iter().map(|i| words[i].clone()).collect()
}

/// Moves each sentence by at most `k` places, in the same way. Sentences are what stands between
/// separators, of which there are as many as before, at the end too where one was there.
pub fn shuffle_sentences<T: Clone + PartialEq>(
    words: &[T],
    separator: &T,
    k: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<T> {
    let ended = words.last() == Some(separator);
    let whole = if ended { &words[..words.len() - 1] } else { words };
    let sentences: Vec<&[T]> = whole.split(|word| word == separator).collect();
    let mut moved = Vec::with_capacity(words.len());
    for (place, i) in order(sentences.len(), k, rng).into_iter().enumerate() {
        if place > 0 {
            moved.push(separator.clone());
        }
        moved.extend_from_slice(sentences[i]);
    }
    if ended {
        moved.push(separator.clone());
    }
    moved
}

/// Which of `count` items stands at each place.
fn order(count: usize, k: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let keys = (0..count).map(|i| i as f64 + (k as f64 + 1.0) * open_unit(rng));
    let keys: Vec<f64> = keys.collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    order
}
