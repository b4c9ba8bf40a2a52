//! Sub-trajectory balance: a policy that samples in proportion to a reward.

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
