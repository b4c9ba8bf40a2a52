//! Entropy-regularised policy gradients.

use super::Reward;
use super::mahalanobis::check_temperature;
use crate::density::MaximumLikelihood;
use maxlik_model::{Batch, Density, Loss, Metric, Objective, Sampled};
use maxlik_tensor::{Error, Result, check};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How the gradient of an expectation over the policy is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum RewardEstimator {
    /// By the score function: `E[s ∇ ln π(ŷ)]` with the signal `s = r − λ ln π` held fixed; for
    /// policies and rewards without derivatives too.
    Score {
        /// Whether the mean signal of the *other* answers to the same data is taken off, which makes
        /// the estimate vary less and, other than a mean or a minimum over all answers, leaves it
        /// unbiased. For two answers or more.
        baseline: bool,
    },
    /// Through the samples: `E[∇ s(ŷ_θ)]`, for policies with differentiable samples. The loss has the
    /// graph of the reward's parameters too.
    Pathwise {},
}

/// Shape of a [`PolicyGradient`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyGradientConfig {
    /// Weight `λ` of the entropy, in units of reward a nat.
    pub temperature: f64,
    /// Answers `G` to each row of data.
    pub answers: i64,
    /// How the gradient is estimated.
    pub estimator: RewardEstimator,
}

impl PolicyGradientConfig {
    /// With a reward.
    ///
    /// # Errors
    /// [`Error::Config`] for a temperature that is not positive, or fewer answers than one (two with a
    /// baseline).
    pub fn with(self, reward: Box<dyn Reward>) -> Result<PolicyGradient> {
        check_temperature(self.temperature)?;
        let least =
            if self.estimator == (RewardEstimator::Score { baseline: true }) { 2 } else { 1 };
        if self.answers < least {
            let why = format!("expected at least {least}, got {}", self.answers);
            return Err(Error::config("answers", why));
        }
        Ok(PolicyGradient { config: self, reward })
    }
}

/// `−E_{ŷ∼π(·|x)}[r(ŷ, y)] − λ H(π(·|x))`, the mean over data `(x, y)`: a policy that is rewarded for
/// its own answers. Data and reward are as in [`Reward`], `x` is the batch's context.
///
/// Over all densities the minimum is at Gibbs' `π ∝ exp(E[r(ŷ, y)|x]/λ)`. Multiplying reward and `λ` by
/// one number moves nothing, a constant in the reward neither.
///
/// The value is the estimate of the objective itself, whatever the estimator of its gradient: the
/// entropy is estimated by `−ln π` of the same answers. The metrics are mean reward and entropy.
#[derive(Debug)]
pub struct PolicyGradient {
    config: PolicyGradientConfig,
    reward: Box<dyn Reward>,
}

impl PolicyGradient {
    /// The loss at given answers `[B G, …]`, those to one row of data one after the other; for
    /// pathwise gradients they and their log-probabilities carry the policy's graph, for the score
    /// function the log-probabilities do.
    ///
    /// # Errors
    /// Those of the reward, and [`Error::Shape`] for answers that do not fit the batch.
    pub fn loss_at(&self, answers: &Sampled, batch: &Batch) -> Result<Loss> {
        let each = self.config.answers;
        let (rows, data) = (rows(batch)?, repeated(&batch.data, each)?);
        check::shape("answers", &answers.value, &data.size())?;
        check::shape("log_prob", &answers.log_prob, &[rows * each])?;
        let by_row = |t: &Tensor| t.f_reshape([rows, each]);
        let reward = by_row(&self.reward.reward(&answers.value, &data)?)?;
        let log_prob = by_row(&answers.log_prob)?;
        let signal = reward.f_sub(&(log_prob.f_mul_scalar(self.config.temperature)?))?;
        let weight = batch.weight.as_ref();
        let mean = |t: &Tensor| {
            let row = t.f_mean_dim([1_i64].as_slice(), false, None::<Kind>)?;
            MaximumLikelihood::loss_at(&row, weight)
        };
        let value = match self.config.estimator {
            RewardEstimator::Pathwise {} => mean(&signal)?,
            RewardEstimator::Score { baseline } => {
                let signal = signal.f_detach()?;
                let gain = if baseline { above_others(&signal)? } else { signal.shallow_clone() };
                let surrogate = mean(&gain.f_mul(&log_prob)?)?;
                // The value of the objective with the gradient of the surrogate.
                mean(&signal)?.f_add(&surrogate)?.f_sub(&surrogate.f_detach()?)?
            }
        };
        let metrics = vec![
            Metric { name: "reward", value: reward.f_detach()?.f_mean(None::<Kind>)? },
            Metric { name: "entropy", value: -log_prob.f_detach()?.f_mean(None::<Kind>)? },
        ];
        Ok(Loss { value, metrics })
    }
}

/// Each signal `[B, G]` less the mean of the others in its row.
fn above_others(signal: &Tensor) -> Result<Tensor> {
    let others = (signal.size()[1] - 1) as f64;
    let sum = signal.f_sum_dim_intlist([1_i64].as_slice(), true, None::<Kind>)?;
    Ok(signal.f_sub(&(sum.f_sub(signal)? / others))?)
}

fn repeated(rows: &Tensor, times: i64) -> Result<Tensor> {
    Ok(rows.f_repeat_interleave_self_int(times, 0, None)?)
}

fn rows(batch: &Batch) -> Result<i64> {
    match batch.data.size().first() {
        Some(&rows) if rows > 0 => Ok(rows),
        _ => Err(Error::shape("data", "a batch of at least one row", &batch.data.size())),
    }
}

impl Objective<dyn Density> for PolicyGradient {
    fn loss(&self, model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        let count = rows(batch)? * self.config.answers;
        let context =
            batch.context.as_ref().map(|c| repeated(c, self.config.answers)).transpose()?;
        let context = context.as_ref();
        let answers = match self.config.estimator {
            RewardEstimator::Pathwise {} => model.rsample_and_log_prob(count, context)?,
            RewardEstimator::Score { .. } => {
                let value = model.sample(count, context)?;
                let log_prob = model.log_prob(&value, context)?;
                Sampled { value, log_prob }
            }
        };
        self.loss_at(&answers, batch)
    }
}
