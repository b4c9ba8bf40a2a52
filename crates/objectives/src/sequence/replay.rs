//! A memory of the best sequences so far.

use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// The best `k` sequences that were offered, no two of which are near-duplicates: what an off-policy
/// objective such as [`super::SubTrajectoryBalance`] trains on beside fresh samples (Hu et al. 2024,
/// arXiv:2310.04363, as in their code). One memory serves one prompt.
///
/// Two sequences are near-duplicates where they are equal, or where their edit distance (insertions,
/// deletions, substitutions) is below `τ (|a| + |b|)`. Of near-duplicates the one with the larger reward
/// stays, the older one where they are alike; with `τ = 0` the memory is exactly the `k` best distinct
/// sequences.
///
/// ```
/// use maxlik_objectives::sequence::Replay;
/// let mut replay = Replay::new(2, 0.0)?;
/// for (tokens, log_reward) in [([1, 2], -3.0), ([1, 3], -1.0), ([4, 4], -2.0), ([1, 3], -1.0)] {
///     replay.offer(&tokens, log_reward);
/// }
/// let kept: Vec<&[i64]> = replay.items().iter().map(|item| item.tokens.as_slice()).collect();
/// assert_eq!(kept, [[1, 3], [4, 4]]);
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Replay {
    capacity: usize,
    tolerance: f64,
    /// Best first.
    items: Vec<Remembered>,
}

/// A sequence that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// Its tokens, without the end.
    pub tokens: Vec<i64>,
    /// Its log-reward, in nats, at temperature one: whoever trains divides by the temperature of the day.
    pub log_reward: f64,
}

impl Replay {
    /// An empty memory for `k` sequences with the tolerance `τ`; 50 and 0.25 in the paper's code.
    ///
    /// # Errors
    /// [`Error::Config`] for no room, or a tolerance outside `[0, 1]`.
    pub fn new(capacity: usize, tolerance: f64) -> Result<Self> {
        if capacity == 0 {
            return Err(Error::config("capacity", "expected at least 1, got 0"));
        }
        if !(0.0..=1.0).contains(&tolerance) {
            let why = format!("expected a number in [0, 1], got {tolerance}");
            return Err(Error::config("tolerance", why));
        }
        Ok(Self { capacity, tolerance, items: Vec::new() })
    }

    /// What is kept, best first.
    #[must_use]
    pub fn items(&self) -> &[Remembered] {
        &self.items
    }

    /// Offers a sequence; whether it was kept. One whose reward is not a number, or zero, never is.
    pub fn offer(&mut self, tokens: &[i64], log_reward: f64) -> bool {
        let full = self.items.len() == self.capacity;
        let worst = self.items.last().map_or(f64::NEG_INFINITY, |item| item.log_reward);
        // Of what is worse than a full memory nothing has to be compared.
        let hopeless = full && log_reward <= worst;
        if hopeless || log_reward.is_nan() || log_reward == f64::NEG_INFINITY {
            return false;
        }
        let near = |item: &Remembered| self.alike(&item.tokens, tokens);
        let rivals: Vec<bool> = self.items.iter().map(near).collect();
        let beaten = |(item, rival): (&Remembered, &bool)| *rival && item.log_reward >= log_reward;
        if self.items.iter().zip(&rivals).any(beaten) {
            return false;
        }
        let mut rival = rivals.into_iter();
        self.items.retain(|_| !rival.next().unwrap_or_default());
        let place = self.items.partition_point(|item| item.log_reward >= log_reward);
        self.items.insert(place, Remembered { tokens: tokens.to_vec(), log_reward });
        self.items.truncate(self.capacity);
        true
    }

    /// Draws `count` sequences alike, with replacement, from LibTorch's generator, as rows of `width`
    /// tokens `[count, width]`, with `end` behind each sequence.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty memory, or a width below that of a sequence.
    pub fn sample(&self, count: i64, width: i64, end: i64) -> Result<Tensor> {
        let longest = self.items.iter().map(|item| item.tokens.len()).max();
        let Some(longest) = longest else {
            return Err(Error::config("replay", "nothing is remembered"));
        };
        let room = usize::try_from(width).unwrap_or_default();
        if room < longest.max(1) {
            let why = format!("expected at least {}, got {width}", longest.max(1));
            return Err(Error::config("width", why));
        }
        let mut rows = Vec::with_capacity(self.items.len() * room);
        for item in &self.items {
            rows.extend(&item.tokens);
            rows.extend(std::iter::repeat_n(end, room - item.tokens.len()));
        }
        let rows = Tensor::f_from_slice(&rows)?.f_view([self.items.len() as i64, width])?;
        let drawn =
            Tensor::f_randint(self.items.len() as i64, [count], (Kind::Int64, rows.device()))?;
        Ok(rows.f_index_select(0, &drawn)?)
    }

    fn alike(&self, a: &[i64], b: &[i64]) -> bool {
        // The distance is at least the difference of lengths.
        let limit = self.tolerance * (a.len() + b.len()) as f64;
        a == b || ((a.len().abs_diff(b.len()) as f64) < limit && (edits(a, b) as f64) < limit)
    }
}

/// Levenshtein's distance, row by row.
fn edits(a: &[i64], b: &[i64]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
