//! The reward learned from the data: gradients of the likelihood through the trained policy.

use super::TEMPERATURE;
use super::world::{OUTPUTS, World, policy};
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_model::{Density, Objective};
use maxlik_nn::{Init, Params};
use maxlik_objectives::density::MaximumLikelihood;
use maxlik_objectives::reward::{
    ConjugateGradient, ImplicitGradient, Mahalanobis, PolicyGradient, PolicyGradientConfig,
    RewardEstimator,
};
use maxlik_tensor::{Error, host};
use maxlik_train::{OptimConfig, Optimizer, Schedule, global_norm};
use tch::{Device, Kind, Tensor};

/// Steps of the reward, and of the policy before each.
const OUTER: u64 = 120;
const INNER: u64 = 25;

/// What the matrix `U` of the reward may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matrices {
    /// `eᵘ I`.
    Isotropic,
    /// `A Aᵀ` with a lower triangular `A` of positive diagonal.
    Full,
}

/// A learned reward.
#[derive(Debug)]
pub(super) struct Learned {
    /// `U`.
    pub(super) matrix: Tensor,
    /// The upper left entry of `U` after each step.
    pub(super) path: Vec<f64>,
    /// Test negative log-likelihood of the policy under it, in nats.
    pub(super) nll: f64,
}

/// Starts at `U = I` with a policy that knows nothing. Each of the reward's steps takes the policy some
/// steps towards its optimum, then differentiates the training points' likelihood through it.
pub(super) fn learn(seed: u64, world: &World, matrices: Matrices) -> Result<Learned> {
    let (params, policy) = policy(seed)?;
    let outer = Params::new(seed, Kind::Double, Device::Cpu);
    let size = if matrices == Matrices::Full { OUTPUTS } else { 1 };
    let raw = outer.root().param("raw", &[size, size], Init::Constant(0.0))?;
    let reward = || -> Result<PolicyGradient> {
        let reward = Mahalanobis::new(matrix(&raw)?)?;
        let estimator = RewardEstimator::Pathwise {};
        let config = PolicyGradientConfig { temperature: TEMPERATURE, answers: 16, estimator };
        Ok(config.with(Box::new(reward))?)
    };
    let schedule = Schedule::Cosine { warmup: 0, last: 0.02 };
    let slow = OptimConfig {
        steps: OUTER,
        lr: 0.15,
        betas: [0.8, 0.99],
        schedule,
        ..OptimConfig::default()
    };
    let mut optimizer = Optimizer::new(&outer, &slow)?;
    let solver = ConjugateGradient { products: 20, tolerance: 1e-3, damping: 0.0 };
    let mut path = Vec::new();
    let optim = OptimConfig { steps: OUTER * INNER, lr: 2e-2, schedule, ..OptimConfig::default() };
    let named = params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    fit(&params, &optim, seed, |step| {
        if step > 0 && step % INNER == 0 {
            let inner = reward()?.loss(&policy as &dyn Density, &world.train)?.value;
            let of_data = MaximumLikelihood.loss(&policy as &dyn Density, &world.train)?.value;
            let through = ImplicitGradient { solver };
            let mut found = through.run(&inner, &of_data, &leaves, &[&raw])?.gradients;
            let norm = host::scalar(&global_norm(&found)?)?;
            optimizer.step(step / INNER, &mut found, norm)?;
            path.push(matrix(&raw)?.f_double_value(&[0, 0])?);
        }
        let reward = reward()?;
        Ok(reward.loss(&policy as &dyn Density, &world.draw(250)?)?.value)
    })?;
    Ok(Learned { matrix: matrix(&raw)?.f_detach()?, path, nll: world.test_nll(&policy)? })
}

/// `U` of the raw parameters.
fn matrix(raw: &Tensor) -> Result<Tensor, Error> {
    let diagonal = raw.f_diagonal(0, 0, 1)?.f_exp()?;
    if raw.size() == [1, 1] {
        let identity = Tensor::f_eye(OUTPUTS, (raw.kind(), raw.device()))?;
        return Ok(identity.f_mul(&diagonal)?);
    }
    let root = raw.f_tril(-1)?.f_add(&diagonal.f_diag_embed(0, -2, -1)?)?;
    Ok(root.f_matmul(&root.f_tr()?)?)
}
