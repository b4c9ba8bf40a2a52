//! Sampling-based minimum Bayes risk decoding.

use maxlik_tensor::{Error, Result};
use std::cmp::Ordering;

/// The answer with the greatest expected utility under a model, estimated from its samples (Eikema and
/// Aziz 2020, arXiv:2005.10283; 2022, arXiv:2108.04718):
///
/// `y* = argmax_{h ∈ H} 1/N Σ_n u(h, y⁽ⁿ⁾)`
///
/// with `N` samples `y⁽ⁿ⁾ ~ p(·|x)` and the set `H` of the different ones among them. A sample that came
/// several times counts as often: that is how probability enters. For the estimate to be unbiased the
/// samples must be ancestral ones, of temperature one and not truncated.
///
/// Of candidates with equal utility the smallest wins, by the order of `T`, so that the order of the
/// samples changes nothing. With the utility "equal or not" the most frequent sample is found, which
/// for many samples is the mode.
///
/// ```
/// use maxlik_nn::decode::MinimumRisk;
/// let samples = ["a b", "a b", "a c", "a d", "e"];
/// let shared = |h: &&str, y: &&str| {
///     let found = h.split(' ').filter(|word| y.split(' ').any(|other| other == *word)).count();
///     found as f64 / h.split(' ').count() as f64
/// };
/// let best = MinimumRisk::of(&samples)?.best(shared)?;
/// assert_eq!((*best.candidate, best.share), ("a b", 0.4));
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct MinimumRisk<'a, T> {
    /// The different samples in their order, and how often each came.
    different: Vec<(&'a T, usize)>,
    samples: usize,
}

/// A candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rated<'a, T> {
    /// One of the samples.
    pub candidate: &'a T,
    /// How often it came among them, as a share of all.
    pub share: f64,
    /// Its mean utility over all samples, itself included.
    pub utility: f64,
}

impl<'a, T: Ord> MinimumRisk<'a, T> {
    /// Decides by these samples.
    ///
    /// # Errors
    /// [`Error::Config`] for no samples.
    pub fn of(samples: &'a [T]) -> Result<Self> {
        if samples.is_empty() {
            return Err(Error::config("samples", "expected at least one"));
        }
        let mut sorted: Vec<&T> = samples.iter().collect();
        sorted.sort_unstable();
        let mut different: Vec<(&T, usize)> = Vec::new();
        for sample in sorted {
            match different.last_mut() {
                Some((last, count)) if *last == sample => *count += 1,
                _ => different.push((sample, 1)),
            }
        }
        Ok(Self { different, samples: samples.len() })
    }

    /// Number `|H|` of different samples.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.different.len()
    }

    /// The best candidate: `|H|²` utilities `u(candidate, reference)`.
    ///
    /// # Errors
    /// [`Error::Config`] for a utility that is not finite.
    pub fn best(&self, utility: impl FnMut(&T, &T) -> f64) -> Result<Rated<'a, T>> {
        let all = self.ranked(utility)?;
        all.into_iter().next().ok_or_else(|| Error::config("samples", "expected at least one"))
    }

    /// All candidates, best first.
    ///
    /// # Errors
    /// As [`MinimumRisk::best`].
    pub fn ranked(&self, utility: impl FnMut(&T, &T) -> f64) -> Result<Vec<Rated<'a, T>>> {
        self.rank(&self.different, utility)
    }

    /// Coarse to fine: the `keep` candidates that are best by a cheap utility are rated by the good
    /// one: `|H|² ` cheap utilities and `keep · |H|` good ones.
    ///
    /// # Errors
    /// As [`MinimumRisk::best`], and [`Error::Config`] for `keep` zero.
    pub fn coarse_to_fine(
        &self,
        cheap: impl FnMut(&T, &T) -> f64,
        keep: usize,
        good: impl FnMut(&T, &T) -> f64,
    ) -> Result<Vec<Rated<'a, T>>> {
        if keep == 0 {
            return Err(Error::config("keep", "expected at least 1, got 0"));
        }
        let coarse = self.ranked(cheap)?;
        let kept: Vec<(&T, usize)> = coarse[..keep.min(coarse.len())]
            .iter()
            .map(|rated| (rated.candidate, (rated.share * self.samples as f64).round() as usize))
            .collect();
        self.rank(&kept, good)
    }

    fn rank(
        &self,
        candidates: &[(&'a T, usize)],
        mut utility: impl FnMut(&T, &T) -> f64,
    ) -> Result<Vec<Rated<'a, T>>> {
        let mut rated = Vec::with_capacity(candidates.len());
        for &(candidate, count) in candidates {
            let mut sum = 0.0;
            for &(reference, times) in &self.different {
                let value = utility(candidate, reference);
                if !value.is_finite() {
                    let why = format!("expected a finite utility, got {value}");
                    return Err(Error::config("utility", why));
                }
                sum += times as f64 * value;
            }
            let share = count as f64 / self.samples as f64;
            rated.push(Rated { candidate, share, utility: sum / self.samples as f64 });
        }
        let order = |a: &Rated<'_, T>, b: &Rated<'_, T>| -> Ordering {
            b.utility.total_cmp(&a.utility).then_with(|| a.candidate.cmp(b.candidate))
        };
        rated.sort_by(order);
        Ok(rated)
    }
}
