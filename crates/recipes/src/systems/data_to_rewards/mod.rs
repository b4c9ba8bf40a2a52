//! From data to rewards: a policy trained by reward that is as good as one trained by likelihood.
//!
//! A linear policy with normal noise of any covariance is rewarded by a squared distance to the data.
//! The reward's matrix is the closed-form optimum `U* = (λ/2) Σ⁻¹`, the best multiple of the identity,
//! or the identity; then it is learned, starting from the identity, by gradients of the likelihood
//! through the policy's optimum.
//!
//! The specification compares the learned multiple with `λ n/(2 tr Σ)` of the law of the noise. What is
//! learned is the optimum for the 1,000 points, whose `tr Σ̂` is off by 4% in one of three draws, so that
//! a bound of 5% against the law would test the luck of the draw: the comparison here is with
//! `λ n/(2 tr Σ̂)`, `Σ̂` the covariance of the points about their least-squares fit.

mod bilevel;
mod policy;
mod world;

use super::fit::fit;
use super::{Baseline, Check, System};
use anyhow::Result;
use bilevel::{Learned, Matrices, learn};
use maxlik_model::{Density, Objective};
use maxlik_objectives::density::MaximumLikelihood;
use maxlik_objectives::reward::{Mahalanobis, PolicyGradientConfig, RewardEstimator};
use maxlik_tensor::host;
use maxlik_train::plot::{LineChart, Series, Stroke};
use maxlik_train::{OptimConfig, Schedule};
use policy::LinearGaussian;
use std::path::Path;
use tch::{Tensor, kind::DOUBLE_CPU};
use world::{OUTPUTS, World, policy as start};

/// From data to rewards.
pub(super) const SYSTEM: System = System {
    name: "data-to-rewards",
    about: "rewards whose best policy has the data's likelihood (from data to rewards, arXiv:2510.07624)",
    claim: "with the optimal reward, policy gradients reach maximum likelihood; the reward is found from \
            data by implicit differentiation",
    run,
};

/// Weight `λ` of the entropy.
const TEMPERATURE: f64 = 0.1;

/// Answers to each point.
const ANSWERS: i64 = 32;

fn optim() -> OptimConfig {
    let schedule = Schedule::Cosine { warmup: 0, last: 0.0 };
    OptimConfig { steps: 1500, lr: 2e-2, schedule, ..OptimConfig::default() }
}

/// Test negative log-likelihood of a policy trained by an objective, and the policy.
fn trained(
    seed: u64,
    world: &World,
    objective: &dyn Objective<dyn Density>,
) -> Result<(f64, LinearGaussian)> {
    let (params, policy) = start(seed)?;
    fit(&params, &optim(), seed, |_| {
        Ok(objective.loss(&policy as &dyn Density, &world.draw(250)?)?.value)
    })?;
    Ok((world.test_nll(&policy)?, policy))
}

fn by_reward(
    seed: u64,
    world: &World,
    reward: Mahalanobis,
    estimator: RewardEstimator,
) -> Result<(f64, LinearGaussian)> {
    let config = PolicyGradientConfig { temperature: TEMPERATURE, answers: ANSWERS, estimator };
    trained(seed, world, &config.with(Box::new(reward))?)
}

/// `‖a − b‖ / ‖b‖` in Frobenius' norm.
fn off(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(host::scalar(&a.f_sub(b)?.f_norm()?)? / host::scalar(&b.f_norm()?)?)
}

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let world = World::new(seed)?;
    let (mle, _) = trained(seed, &world, &MaximumLikelihood)?;
    let score = RewardEstimator::Score { baseline: true };
    let path = RewardEstimator::Pathwise {};
    let optimal = || Mahalanobis::optimal(&world.noise, TEMPERATURE);
    let (by_score, policy) = by_reward(seed, &world, optimal()?, score)?;
    let (by_path, _) = by_reward(seed, &world, optimal()?, path)?;
    let isotropic = Mahalanobis::isotropic(&world.noise, TEMPERATURE)?;
    let (isotropic, _) = by_reward(seed, &world, isotropic, path)?;
    let identity = Mahalanobis::new(Tensor::f_eye(OUTPUTS, DOUBLE_CPU)?)?;
    let (identity, _) = by_reward(seed, &world, identity, path)?;
    let scalar = learn(seed, &world, Matrices::Isotropic)?;
    let full = learn(seed, &world, Matrices::Full)?;
    let residual = world.residual_covariance()?;
    let best = Mahalanobis::isotropic(&residual, TEMPERATURE)?.matrix().f_double_value(&[0, 0])?;
    picture(&scalar, best, out)?;
    let gap = |what, claim, gap: f64, exact: f64, slack: f64| Check {
        what,
        claim,
        baseline: Some(Baseline { name: "closed form", value: exact }),
        result: gap,
        pass: (gap - exact).abs() <= slack,
    };
    Ok(vec![
        Check::at_most(
            "covariance of the policy under U*, relative error (score function)",
            "at most 0.15",
            off(&policy.covariance()?, &world.noise)?,
            0.15,
        )
        .beside("residuals of the training points", off(&residual, &world.noise)?),
        Check::at_most(
            "test NLL, policy gradient under U* - likelihood (score function, nats)",
            "at most 0.03",
            by_score - mle,
            0.03,
        )
        .beside("likelihood's NLL", mle),
        Check::at_most(
            "test NLL, policy gradient under U* - likelihood (pathwise, nats)",
            "at most 0.03",
            by_path - mle,
            0.03,
        ),
        gap(
            "test NLL, best isotropic reward - likelihood (nats)",
            "0.511 within 0.03",
            isotropic - mle,
            0.510_825_623_8,
            0.03,
        ),
        gap(
            "test NLL, reward U = I - likelihood (nats)",
            "16.5 within 0.8",
            identity - mle,
            16.515_093,
            0.8,
        ),
        gap(
            "learned multiple u of the identity (implicit gradient)",
            "within 5% of the points' optimum",
            scalar.matrix.f_double_value(&[0, 0])?,
            best,
            0.05 * best,
        ),
        Check::at_most(
            "test NLL, policy under the learned full U - likelihood (nats)",
            "at most 0.03",
            full.nll - mle,
            0.03,
        )
        .beside("under the learned multiple of the identity", scalar.nll - mle),
    ])
}

/// How the learned multiple of the identity comes to its optimum.
fn picture(learned: &Learned, best: f64, out: &Path) -> Result<()> {
    let path = learned.path.iter().enumerate();
    let points = path.map(|(step, u)| (step as f64 + 1.0, u.ln())).collect();
    let chart =
        LineChart::new("Reward -u |y' - y|², u learned from data", "step of the reward", "ln u")
            .series(Series { name: "implicit gradient".to_owned(), points, stroke: Stroke::Line })
            .level("closed form for these points", best.ln());
    Ok(std::fs::write(out.join("reward.svg"), chart.svg())?)
}

#[cfg(test)]
mod tests {
    use super::world::{World, policy};
    use super::{Mahalanobis, OUTPUTS, off};
    use maxlik_model::Density;
    use maxlik_tensor::with_seed;
    use tch::{Tensor, kind::DOUBLE_CPU};

    /// The policy is a density with samples of its own covariance; the world's residuals have the
    /// noise's.
    #[test]
    fn policy_and_world() -> anyhow::Result<()> {
        let (params, policy) = policy(3)?;
        let noise = |shape: &[i64]| with_seed(7, || Tensor::randn(shape, DOUBLE_CPU));
        let named = params.trainable();
        let values = named.iter().map(|(name, t)| (name.clone(), noise(&t.size()) * 0.4));
        params.load(&values.collect::<Vec<_>>())?;
        let x = noise(&[1, 3]).f_expand([20_000, 3], false)?;
        let drawn = with_seed(1, || policy.rsample_and_log_prob(20_000, Some(&x)))?;
        let covariance = drawn.value.f_tr()?.f_cov(1, None::<&Tensor>, None::<&Tensor>)?;
        assert!(off(&covariance.detach(), &policy.covariance()?)? < 0.05);
        // The mean of −ln p is the entropy ½ ln det(2πe S).
        let entropy = 0.5 * policy.covariance()?.logdet().double_value(&[])
            + (1.0 + std::f64::consts::TAU.ln()) * 0.5 * OUTPUTS as f64;
        assert!((drawn.log_prob.mean(None).double_value(&[]) + entropy).abs() < 0.03);
        let world = World::new(5)?;
        assert!(off(&world.residual_covariance()?, &world.noise)? < 0.15);
        assert!(Mahalanobis::optimal(&world.noise, 0.1).is_ok());
        Ok(())
    }
}
