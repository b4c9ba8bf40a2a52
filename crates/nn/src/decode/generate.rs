//! Tokens one after the other, for a batch of prompts.

use super::Choice;
use maxlik_model::{Session, check_tokens};
use maxlik_tensor::{Error, Result, host};
use tch::{Kind, Tensor};

/// How a batch of sequences goes on from its prompts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Generation {
    /// Most new tokens.
    pub tokens: i64,
    /// How each is chosen.
    pub choice: Choice,
    /// The token that ends a sequence, where there is one.
    pub end: Option<i64>,
    /// What stands after the end.
    pub pad: i64,
}

impl Default for Generation {
    fn default() -> Self {
        Self { tokens: 256, choice: Choice::Sample(super::Sampling::default()), end: None, pad: 0 }
    }
}

/// What came after the prompts.
#[derive(Debug)]
pub struct Generated {
    /// New tokens `[B, t]`, padded after the end.
    pub tokens: Tensor,
    /// Log-probability of each under the model itself, whatever it was drawn by, in nats, `[B, t]`;
    /// zero after the end.
    pub log_prob: Tensor,
    /// Which tokens count, `[B, t]`: one up to the end, the end included.
    pub weight: Tensor,
}

impl Generated {
    /// The new tokens of each row, up to its end, the end included where it was reached.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn sequences(&self) -> Result<Vec<Vec<i64>>> {
        let width = usize::try_from(self.tokens.size()[1]).unwrap_or_default().max(1);
        let tokens: Vec<i64> = host::values(&self.tokens)?;
        let weight = host::to_vec(&self.weight)?;
        let rows = tokens.chunks(width).zip(weight.chunks(width));
        let counted = |(tokens, weight): (&[i64], &[f64])| {
            tokens.iter().zip(weight).filter(|(_, w)| **w > 0.0).map(|(token, _)| *token).collect()
        };
        Ok(rows.map(counted).collect())
    }
}

impl Generation {
    /// Goes on from prompts `[B, t]` of one length, in a fresh session. Stops early where all rows
    /// have ended.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit, and those of the model.
    pub fn run(&self, session: &mut dyn Session, prompts: &Tensor) -> Result<Generated> {
        self.stream(session, prompts, |_| Ok(true))
    }

    /// The same; `each` sees the tokens `[B]` of every step as they come, and says whether to go on.
    ///
    /// # Errors
    /// As [`Generation::run`], and those of `each`.
    pub fn stream(
        &self,
        session: &mut dyn Session,
        prompts: &Tensor,
        mut each: impl FnMut(&Tensor) -> Result<bool>,
    ) -> Result<Generated> {
        self.choice.check()?;
        if self.tokens < 1 {
            let why = format!("expected at least 1, got {}", self.tokens);
            return Err(Error::config("tokens", why));
        }
        check_tokens(prompts, None)?;
        let _no_grad = tch::no_grad_guard();
        let mut logits = last(&session.extend(prompts)?)?;
        let batch = prompts.size()[0];
        let mut alive = Tensor::f_ones([batch], (Kind::Bool, prompts.device()))?;
        let (mut tokens, mut log_probs, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for step in 1..=self.tokens {
            let drawn = self.choice.next(&logits)?;
            let drawn = drawn.f_where_scalarother(&alive, self.pad)?;
            let all = logits.f_log_softmax(-1, None::<Kind>)?;
            let own = all.f_gather(-1, &drawn.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
            log_probs.push(own.f_where_scalarother(&alive, 0.0)?);
            weights.push(alive.f_to_kind(logits.kind())?);
            if let Some(end) = self.end {
                alive = alive.f_logical_and(&drawn.f_ne(end)?)?;
            }
            let more = each(&drawn)?;
            tokens.push(drawn.shallow_clone());
            let ended = self.end.is_some() && !bool::try_from(alive.f_any()?)?;
            if step == self.tokens || ended || !more {
                break;
            }
            logits = last(&session.extend(&drawn.f_unsqueeze(1)?)?)?;
        }
        Ok(Generated {
            tokens: Tensor::f_stack(&tokens, 1)?,
            log_prob: Tensor::f_stack(&log_probs, 1)?,
            weight: Tensor::f_stack(&weights, 1)?,
        })
    }
}

/// The logits after the last token, `[B, t, V] → [B, V]`.
pub(super) fn last(logits: &Tensor) -> Result<Tensor> {
    Ok(logits.f_select(1, -1)?)
}
