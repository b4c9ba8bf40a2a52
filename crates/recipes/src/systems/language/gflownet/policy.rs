//! A policy that writes strings, and two ways to train it by a reward.

use super::super::super::fit::fit;
use anyhow::Result;
use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::decode::{Choice, Generation, Sampling};
use maxlik_nn::{
    Params, TransformerConfig, TransformerLanguageModel, TransformerLanguageModelConfig,
};
use maxlik_objectives::sequence::{CrossEntropy, Replay, SubTrajectoryBalance, Walk};
use maxlik_tensor::{Seeds, host};
use maxlik_train::{OptimConfig, Schedule};
use rand::Rng;
use tch::{Device, Kind, Tensor};

/// The mark before a string and behind it.
pub(super) const MARK: i64 = 0;
/// Strings in a step.
const BATCH: i64 = 128;

/// A small transformer over a mark and words, for strings of up to `longest` words.
#[derive(Debug)]
pub(super) struct Policy {
    params: Params,
    pub(super) model: TransformerLanguageModel,
    longest: i64,
}

/// How a policy is trained by balance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tuning {
    pub(super) steps: u64,
    /// Temperature of the reward at the end: it starts at one, and is there after a third of the steps.
    pub(super) temperature: f64,
}

/// `ln R` at temperature one of each prefix, `[B, n + 1]`, of strings with their first mark, `[B, 1 + n]`.
pub(super) type Reward<'a> = dyn Fn(&Tensor) -> Result<Tensor> + 'a;

impl Policy {
    pub(super) fn new(seed: u64, words: i64, longest: i64) -> Result<Self> {
        let params = Params::new(seed, Kind::Float, Device::Cpu);
        let transformer = TransformerConfig { width: 64, heads: 4, ..TransformerConfig::default() };
        let config = TransformerLanguageModelConfig { transformer, length: longest, tied: false };
        let model = TransformerLanguageModel::new(&params.root(), words + 1, &config)?;
        Ok(Self { params, model, longest })
    }

    /// The same weights once more.
    pub(super) fn copy(&self) -> Result<Self> {
        let other = Self::new(0, self.model.vocabulary() - 1, self.longest)?;
        other.params.load(&self.params.named())?;
        Ok(other)
    }

    /// Maximum likelihood of strings `[N, 1 + n]`: what follows the first mark counts, and what follows a
    /// word.
    pub(super) fn imitate(&self, seed: u64, steps: u64, strings: &Tensor) -> Result<()> {
        let optim = optim(steps, 2e-3);
        let weight = strings.f_ne(MARK)?.f_to_kind(Kind::Float)?.f_roll([1_i64], [1_i64])?;
        let _ = weight.f_narrow(1, 1, 1)?.f_fill_(1.0)?;
        fit(&self.params, &optim, seed, |_| {
            let rows = Tensor::f_randint(strings.size()[0], [BATCH], (Kind::Int64, Device::Cpu))?;
            let data = strings.f_index_select(0, &rows)?;
            let weight = Some(weight.f_index_select(0, &rows)?);
            let batch = Batch { data, context: None, weight };
            Ok(CrossEntropy.loss(&self.model as &dyn LanguageModel, &batch)?.value)
        })
    }

    /// Sub-trajectory balance on a quarter of batches from a memory of the best 50, a half at temperatures
    /// between one half and two, and the rest at one.
    pub(super) fn balance(&self, seed: u64, tuning: Tuning, reward: &Reward<'_>) -> Result<()> {
        let Tuning { steps, temperature } = tuning;
        let objective = SubTrajectoryBalance::new(1.0)?;
        let (mut replay, stream) = (Replay::new(50, 0.25)?, Seeds::new(seed).stream("behaviour"));
        fit(&self.params, &optim(steps, 2e-3), seed, |step| {
            let mut rng = stream.rng(step);
            let (remembered, tempered) = (rng.random_bool(0.25), rng.random_bool(2.0 / 3.0));
            let hot = if tempered { rng.random_range(0.5..2.0) } else { 1.0 };
            let strings = if remembered && !replay.items().is_empty() {
                mark(&replay.sample(BATCH, self.longest, MARK)?)?
            } else {
                self.sample(BATCH, hot)?
            };
            let walk = Walk::of(&self.model, &strings, 1, MARK)?;
            let reward = reward(&strings)?;
            remember(&mut replay, &strings, &walk.at_end(&reward)?)?;
            let annealed = 1.0 + (temperature - 1.0) * (3.0 * step as f64 / steps as f64).min(1.0);
            Ok(objective.loss_at(&walk.rewarded(&(reward / annealed)))?)
        })
    }

    /// Maximisation of the mean log-reward: the score-function estimate with the batch's mean as baseline.
    pub(super) fn maximise(&self, seed: u64, steps: u64, reward: &Reward<'_>) -> Result<()> {
        fit(&self.params, &optim(steps, 1e-3), seed, |_| {
            let strings = self.sample(BATCH, 1.0)?;
            let walk = Walk::of(&self.model, &strings, 1, MARK)?;
            let gained = walk.at_end(&reward(&strings)?)?.f_detach()?;
            let advantage = &gained - gained.f_mean(None::<Kind>)?;
            let log_q = walk.at_end(&walk.log_prob()?)?;
            Ok(-advantage.f_mul(&log_q)?.f_mean(None::<Kind>)?)
        })
    }

    /// Strings `[count, 1 + n]` with their mark, by the policy at this temperature.
    pub(super) fn sample(&self, count: i64, temperature: f64) -> Result<Tensor> {
        sample(&self.model, count, self.longest, temperature)
    }

    /// `ln q` of each of the strings, `[N]`, in double precision.
    pub(super) fn log_prob(&self, strings: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        log_prob(&self.model, strings)
    }
}

fn optim(steps: u64, lr: f64) -> OptimConfig {
    let schedule = Schedule::Cosine { warmup: 20, last: 0.02 };
    OptimConfig { steps, lr, clip: 1.0, schedule, ..OptimConfig::default() }
}

/// A mark before each row.
fn mark(rows: &Tensor) -> Result<Tensor> {
    let first = Tensor::f_full([rows.size()[0], 1], MARK, (Kind::Int64, Device::Cpu))?;
    Ok(Tensor::f_cat(&[&first, rows], 1)?)
}

/// Strings `[count, 1 + longest]` of a model, with marks behind those that are shorter.
pub(super) fn sample(
    model: &dyn LanguageModel,
    count: i64,
    longest: i64,
    temperature: f64,
) -> Result<Tensor> {
    let choice = Choice::Sample(Sampling { temperature, ..Sampling::default() });
    let generation = Generation { tokens: longest, choice, end: Some(MARK), pad: MARK };
    let first = Tensor::f_full([count, 1], MARK, (Kind::Int64, Device::Cpu))?;
    let written = generation.run(&mut *model.session(), &first)?.tokens;
    let room = longest - written.size()[1];
    mark(&written.f_constant_pad_nd([0, room])?)
}

/// `ln p` of each of the strings under a model, `[N]`.
pub(super) fn log_prob(model: &dyn LanguageModel, strings: &Tensor) -> Result<Tensor> {
    let walk = Walk::of(model, strings, 1, MARK)?;
    Ok(walk.at_end(&walk.log_prob()?)?.f_to_kind(Kind::Double)?)
}

/// Offers strings with their log-rewards.
fn remember(replay: &mut Replay, strings: &Tensor, rewards: &Tensor) -> Result<()> {
    let width = strings.size()[1] as usize;
    let tokens = host::values::<i64>(strings)?;
    for (row, reward) in tokens.chunks_exact(width).zip(host::to_vec(rewards)?) {
        let words: Vec<i64> = row[1..].iter().copied().take_while(|&t| t != MARK).collect();
        replay.offer(&words, reward);
    }
    Ok(())
}
