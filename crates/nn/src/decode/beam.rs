//! Beam search.

use super::generate::last;
use maxlik_model::{Session, check_tokens};
use maxlik_tensor::{Error, Result, host};
use tch::{Device, Kind, Tensor};

/// Beam search for the most probable continuation of a prompt: in each step, of all continuations of
/// the kept prefixes by one token, the most probable `width` are kept.
///
/// A hypothesis `y` of `|y|` new tokens scores `ln p(y) / |y|^α`; with `α = 0` the score is its
/// log-probability, and a wide beam finds the mode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beam {
    /// Prefixes that are kept.
    pub width: i64,
    /// Most new tokens.
    pub tokens: i64,
    /// Exponent `α` of the length.
    pub length_penalty: f64,
    /// The token that ends a sequence, where there is one.
    pub end: Option<i64>,
}

/// A continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its new tokens, the end included where it was reached.
    pub tokens: Vec<i64>,
    /// Its log-probability, in nats.
    pub log_prob: f64,
    /// Its score.
    pub score: f64,
}

impl Beam {
    /// The best hypotheses after one prompt `[t]`, best first, at most `width`; a fresh session.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit, and those of the model.
    pub fn run(&self, session: &mut dyn Session, prompt: &Tensor) -> Result<Vec<Hypothesis>> {
        if self.width < 1 || self.tokens < 1 {
            let why = format!("expected at least 1, got {} and {}", self.width, self.tokens);
            return Err(Error::config("width and tokens", why));
        }
        let prompt = prompt.f_unsqueeze(0)?;
        check_tokens(&prompt, None)?;
        let _no_grad = tch::no_grad_guard();
        let mut logits = last(&session.extend(&prompt)?)?;
        let mut alive = vec![Prefix::default()];
        let mut done: Vec<Hypothesis> = Vec::new();
        for step in 1..=self.tokens {
            let found = self.expand(&alive, &logits)?;
            let mut kept = Vec::new();
            for prefix in found {
                if self.end.is_some() && prefix.tokens.last() == self.end.as_ref() {
                    done.push(self.finish(prefix));
                } else {
                    kept.push(prefix);
                }
            }
            alive = kept;
            if step == self.tokens || alive.is_empty() || self.settled(&alive, &done) {
                break;
            }
            let of = |pick: fn(&Prefix) -> i64| {
                let values: Vec<i64> = alive.iter().map(pick).collect();
                Tensor::f_from_slice(&values)?.f_to_device(logits.device())
            };
            session.select(&of(|prefix| prefix.parent)?)?;
            let next = of(|prefix| prefix.tokens.last().copied().unwrap_or_default())?;
            logits = last(&session.extend(&next.f_unsqueeze(1)?)?)?;
        }
        done.extend(alive.into_iter().map(|prefix| self.finish(prefix)));
        done.sort_by(|a, b| b.score.total_cmp(&a.score));
        done.truncate(usize::try_from(self.width).unwrap_or(usize::MAX));
        Ok(done)
    }

    /// The most probable continuations of all prefixes by one token, best first.
    fn expand(&self, alive: &[Prefix], logits: &Tensor) -> Result<Vec<Prefix>> {
        let vocabulary = logits.size()[1];
        let each = logits.f_to_kind(Kind::Double)?.f_log_softmax(-1, None::<Kind>)?;
        let before: Vec<f64> = alive.iter().map(|prefix| prefix.log_prob).collect();
        let before = Tensor::f_from_slice(&before)?.f_to_device(logits.device())?;
        let total = each.f_add(&before.f_unsqueeze(1)?)?.f_reshape([-1])?;
        let count = self.width.min(total.size()[0]);
        let (values, places) = total.f_topk(count, -1, true, true)?;
        let places = Vec::<i64>::try_from(places.f_to_device(Device::Cpu)?)?;
        let found = host::to_vec(&values)?.into_iter().zip(places);
        let continued = found.filter(|(log_prob, _)| log_prob.is_finite()).map(|(log_prob, at)| {
            let parent = at / vocabulary;
            let mut tokens = alive[parent as usize].tokens.clone();
            tokens.push(at % vocabulary);
            Prefix { tokens, log_prob, parent }
        });
        Ok(continued.collect())
    }

    /// Whether no prefix can come to a better score than what is done already: probabilities only
    /// fall. With a length penalty a longer one may still win, so the search goes on.
    fn settled(&self, alive: &[Prefix], done: &[Hypothesis]) -> bool {
        let best = alive.iter().map(|prefix| prefix.log_prob).fold(f64::NEG_INFINITY, f64::max);
        let better = done.iter().filter(|hypothesis| hypothesis.log_prob >= best).count();
        self.length_penalty == 0.0 && better as i64 >= self.width
    }

    fn finish(&self, prefix: Prefix) -> Hypothesis {
        let length = prefix.tokens.len().max(1) as f64;
        let score = prefix.log_prob / length.powf(self.length_penalty);
        Hypothesis { tokens: prefix.tokens, log_prob: prefix.log_prob, score }
    }
}

#[derive(Debug, Default)]
struct Prefix {
    tokens: Vec<i64>,
    log_prob: f64,
    /// Row of the session that it continues.
    parent: i64,
}
