//! Sub-trajectory balance: a policy that samples in proportion to a reward.

use maxlik_model::LanguageModel;
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// Sub-trajectory balance for a policy that writes token by token and may end after any prefix (Hu et al.
/// 2024, "Amortizing intractable inference in large language models", ICLR 2024, arXiv:2310.04363; the
/// flow of a state is its reward over the probability of ending there, so that no flow is learned).
///
/// With `δ_k = ln R_k + ln π(z_{k+1} | z_{≤k}) + ln π(⊤ | z_{≤k+1}) − ln R_{k+1} − ln π(⊤ | z_{≤k})` the loss is
/// `Σ_{i < j} λ^{j−i−1} (Σ_{k=i}^{j−1} δ_k)² / Σ_{i < j} λ^{j−i−1}` over all parts of all trajectories whose last
/// token was written. It is zero for every `λ` exactly where the policy's probability of each string is
/// proportional to its reward; small `λ` leaves detailed balance.
#[derive(Debug, Clone, Copy)]
pub struct SubTrajectoryBalance {
    lambda: f64,
}

/// Trajectories of up to `n` written tokens, all in nats.
#[derive(Debug)]
pub struct Trajectories<'a> {
    /// `ln π(z_{k+1} | z_{≤k})` under the policy itself, whatever the tokens were drawn by, `[B, n]`.
    pub forward: &'a Tensor,
    /// `ln π(⊤ | z_{≤k})`, `[B, n + 1]`.
    pub terminate: &'a Tensor,
    /// `ln R(z_{≤k})`, `[B, n + 1]`; it gets no gradient.
    pub reward: &'a Tensor,
    /// Whether token `k + 1` was written, `[B, n]`: not the end, nor anything after it.
    pub written: &'a Tensor,
}

/// What a language model says of trajectories: under the policy, two of their four parts; under the model
/// that was fine-tuned, most of the reward.
#[derive(Debug)]
pub struct Walk {
    /// As [`Trajectories::forward`].
    pub forward: Tensor,
    /// As [`Trajectories::terminate`].
    pub terminate: Tensor,
    /// As [`Trajectories::written`].
    pub written: Tensor,
}

impl Walk {
    /// Walks along `tokens` `[B, p + n]`: a prompt of `p ≥ 1` tokens, then what was written, the token `end`
    /// once it ended, and anything after it. Trajectories of `n` tokens are the longest that there are: after
    /// them the end is certain, whatever the model thinks. The model is asked once.
    ///
    /// Were the model's own probability taken there, as in the paper's code, balance would hold for a policy
    /// that gives a longest string `z` the mass `R(z)/π(⊤ | z)`, and a sampler that stops at `n` would be off
    /// by that factor.
    ///
    /// # Errors
    /// [`Error::Config`] for a prompt that is empty or fills the sequence, and those of the model.
    pub fn of(model: &dyn LanguageModel, tokens: &Tensor, prompt: i64, end: i64) -> Result<Self> {
        let steps = match tokens.size().as_slice() {
            &[_, length] if prompt >= 1 && prompt < length => length - prompt,
            size => {
                let why = format!("expected at least 1 and fewer than the tokens {size:?}");
                return Err(Error::config("prompt", format!("{why}, got {prompt}")));
            }
        };
        // What comes after the last token is not asked: the end does.
        let before = tokens.f_narrow(1, 0, prompt + steps - 1)?;
        let logits = model.logits(&before)?.f_narrow(1, prompt - 1, steps)?;
        let log_q = logits.f_log_softmax(-1, None::<Kind>)?;
        let next = tokens.f_narrow(1, prompt, steps)?;
        let forward = log_q.f_gather(-1, &next.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
        let terminate = log_q.f_select(-1, end)?;
        let last = terminate.f_narrow(1, 0, 1)?.f_zeros_like()?;
        let going = next.f_ne(end)?.f_to_kind(Kind::Int64)?;
        Ok(Self {
            forward,
            terminate: Tensor::f_cat(&[terminate, last], 1)?,
            written: going.f_cumprod(1, None::<Kind>)?.f_to_kind(Kind::Bool)?,
        })
    }

    /// `ln p(z_{≤k} ⊤)`: the log-probability of each prefix as a finished string, `[B, n + 1]`. Past the end of
    /// a trajectory entries mean nothing.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn log_prob(&self) -> Result<Tensor> {
        let start = self.terminate.f_narrow(1, 0, 1)?.f_zeros_like()?;
        let sums = Tensor::f_cat(&[start, self.forward.f_cumsum(1, None::<Kind>)?], 1)?;
        Ok(sums.f_add(&self.terminate)?)
    }

    /// Of a value for each prefix `[B, n + 1]`, that of the finished string, `[B]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for values of another shape.
    pub fn at_end(&self, each: &Tensor) -> Result<Tensor> {
        check::shape("values", each, &self.terminate.size())?;
        let length = self.written.f_sum_dim_intlist([1_i64].as_slice(), true, Kind::Int64)?;
        Ok(each.f_gather(1, &length, false)?.f_squeeze_dim(1)?)
    }

    /// The trajectories under this model as the policy, with a reward `[B, n + 1]`.
    #[must_use]
    pub fn rewarded<'a>(&'a self, reward: &'a Tensor) -> Trajectories<'a> {
        let Self { forward, terminate, written } = self;
        Trajectories { forward, terminate, reward, written }
    }
}

impl SubTrajectoryBalance {
    /// Balance with parts of length `l` weighed by `λ^{l−1}`; the paper has one.
    ///
    /// # Errors
    /// [`Error::Config`] for a number outside `(0, 1]`.
    pub fn new(lambda: f64) -> Result<Self> {
        if lambda.is_nan() || lambda <= 0.0 || lambda > 1.0 {
            let why = format!("expected a number in (0, 1], got {lambda}");
            return Err(Error::config("lambda", why));
        }
        Ok(Self { lambda })
    }

    /// The loss of trajectories; zero where none has a written token.
    ///
    /// # Errors
    /// [`Error::Shape`] for tensors that do not fit each other.
    pub fn loss_at(&self, at: &Trajectories<'_>) -> Result<Tensor> {
        let &[batch, steps] = at.forward.size().as_slice() else {
            return Err(Error::shape("forward", "[B, n]", &at.forward.size()));
        };
        check::shape("terminate", at.terminate, &[batch, steps + 1])?;
        check::shape("reward", at.reward, &[batch, steps + 1])?;
        check::shape("written", at.written, &[batch, steps])?;
        let written = at.written.f_to_kind(Kind::Bool)?;
        let potential = at.terminate.f_sub(&at.reward.f_detach()?)?;
        let delta = at.forward.f_add(&potential.f_narrow(1, 1, steps)?)?;
        let delta = delta.f_sub(&potential.f_narrow(1, 0, steps)?)?;
        // What stands after the end may be anything, also infinite.
        let delta = delta.f_where_self(&written, &delta.f_zeros_like()?)?;
        let start = Tensor::f_zeros([batch, 1], (delta.kind(), delta.device()))?;
        let sums = Tensor::f_cat(&[start, delta.f_cumsum(1, None::<Kind>)?], 1)?;
        let mut total = sums.f_sum(None::<Kind>)? * 0.0;
        let mut weights = total.f_detach()?;
        for length in 1..=steps {
            let count = steps + 1 - length;
            let part = sums.f_narrow(1, length, count)?.f_sub(&sums.f_narrow(1, 0, count)?)?;
            let last = written.f_narrow(1, length - 1, count)?.f_to_kind(part.kind())?;
            let weight = self.lambda.powi(i32::try_from(length - 1).unwrap_or(i32::MAX));
            total = total.f_add(&(part.f_square()?.f_mul(&last)?.f_sum(None::<Kind>)? * weight))?;
            weights = weights.f_add(&(last.f_sum(None::<Kind>)? * weight))?;
        }
        Ok(total / weights.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)
    }
}
