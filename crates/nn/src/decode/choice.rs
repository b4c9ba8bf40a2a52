//! How the next token is chosen.

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Choice {
    /// The most probable one.
    Greedy {},
    /// Drawn from the model's distribution, or from what [`Sampling`] makes of it.
    Sample(Sampling),
}

/// A change of the distribution before a draw; the default changes nothing (ancestral sampling).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Logits are divided by it.
    pub temperature: f64,
    /// Only so many of the most probable tokens remain (Fan et al. 2018, arXiv:1805.04833).
    pub top_k: Option<i64>,
    /// Only the smallest set of most probable tokens whose mass reaches it remains: the nucleus
    /// (Holtzman et al. 2020, arXiv:1904.09751, eqs. 2–3).
    pub top_p: Option<f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: None }
    }
}

impl Sampling {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a temperature that is not positive, `top_k` below one, or `top_p` outside
    /// `(0, 1]`.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &str, why: String| Err(Error::config(field, why));
        if self.temperature.is_nan() || self.temperature <= 0.0 {
            let why = format!("expected a positive number, got {}", self.temperature);
            return refuse("temperature", why);
        }
        if let Some(k) = self.top_k.filter(|k| *k < 1) {
            return refuse("top_k", format!("expected at least 1, got {k}"));
        }
        match self.top_p {
            Some(p) if p.is_nan() || p <= 0.0 || p > 1.0 => {
                refuse("top_p", format!("expected a number in (0, 1], got {p}"))
            }
            _ => Ok(()),
        }
    }

    /// The distribution that is drawn from: logits `[B, V]` to probabilities `[B, V]`.
    ///
    /// First temperature, then the `top_k` tokens, then the nucleus of what is left. Of equally
    /// probable tokens at an edge, which remain is LibTorch's choice.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn probabilities(&self, logits: &Tensor) -> Result<Tensor> {
        let mut logits = logits.f_to_kind(at_least_single(logits.kind()))? / self.temperature;
        let vocabulary = logits.size()[1];
        if let Some(k) = self.top_k.filter(|k| *k < vocabulary) {
            let (values, tokens) = logits.f_topk(k, -1, true, false)?;
            logits = logits.f_full_like(f64::NEG_INFINITY)?.f_scatter(-1, &tokens, &values)?;
        }
        let q = logits.f_softmax(-1, None::<Kind>)?;
        let Some(p) = self.top_p.filter(|p| *p < 1.0) else { return Ok(q) };
        let (sorted, order) = q.f_sort(-1, true)?;
        // A token remains where those before it have not reached the mass yet.
        let before = sorted.f_cumsum(-1, None::<Kind>)?.f_sub(&sorted)?;
        let kept = sorted.f_masked_fill(&before.f_ge(p)?, 0.0)?;
        let kept = q.f_zeros_like()?.f_scatter(-1, &order, &kept)?;
        let mass = kept.f_sum_dim_intlist([-1_i64].as_slice(), true, None::<Kind>)?;
        Ok(kept.f_div(&mass)?)
    }
}

fn at_least_single(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

impl Choice {
    /// Checks the numbers.
    ///
    /// # Errors
    /// As [`Sampling::check`].
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Greedy {} => Ok(()),
            Self::Sample(sampling) => sampling.check(),
        }
    }

    /// The next token of each row, `[B]`, for logits `[B, V]`; drawn with LibTorch's generator.
    ///
    /// # Errors
    /// LibTorch's, also for logits that are not finite.
    pub fn next(&self, logits: &Tensor) -> Result<Tensor> {
        match self {
            Self::Greedy {} => Ok(logits.f_argmax(-1, false)?),
            Self::Sample(sampling) => {
                let q = sampling.probabilities(logits)?;
                Ok(q.f_multinomial(1, true)?.f_squeeze_dim(1)?)
            }
        }
    }
}
