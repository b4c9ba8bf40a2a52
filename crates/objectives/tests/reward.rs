//! Rewards: the estimators against each other, the optimum, and gradients through a minimum.

use super::common::{gradient_of, jitter, store, worst_z};
use maxlik_flows::base::FullNormal;
use maxlik_model::{Batch, Density, Objective, Sampled};
use maxlik_nn::Params;
use maxlik_objectives::density::MaximumLikelihood;
use maxlik_objectives::reward::{
    ConjugateGradient, ImplicitGradient, Mahalanobis, PolicyGradient, PolicyGradientConfig, Reward,
    RewardEstimator,
};
use maxlik_tensor::autograd::leaf;
use maxlik_tensor::with_seed;
use maxlik_testkit::{distance, normal};
use proptest::prelude::*;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

const SCORE: RewardEstimator = RewardEstimator::Score { baseline: true };
const PLAIN: RewardEstimator = RewardEstimator::Score { baseline: false };
const PATH: RewardEstimator = RewardEstimator::Pathwise {};

fn matrix(entries: &[f64]) -> Tensor {
    let size = entries.len().isqrt() as i64;
    Tensor::from_slice(entries).reshape([size, size])
}

fn gradient(
    estimator: RewardEstimator,
    temperature: f64,
    reward: Box<dyn Reward>,
) -> PolicyGradient {
    PolicyGradientConfig { temperature, answers: 4, estimator }.with(reward).unwrap()
}

/// A normal policy of the plane away from its start.
fn policy(params: &Params) -> FullNormal {
    let policy = FullNormal::new(&params.root(), 2, None, None).unwrap();
    jitter(params, 0.4);
    policy
}

fn shift(by: f64) -> impl Fn(&Tensor, &Tensor) -> Tensor {
    move |answer, data| {
        let u = matrix(&[1.5, 0.4, 0.4, 0.7]);
        Mahalanobis::new(u).unwrap().reward(answer, data).unwrap() + by
    }
}

/// A reward by a function.
struct By<F>(F);

impl<F> std::fmt::Debug for By<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("By")
    }
}

impl<F: Fn(&Tensor, &Tensor) -> Tensor + Send> Reward for By<F> {
    fn reward(&self, answer: &Tensor, data: &Tensor) -> maxlik_tensor::Result<Tensor> {
        Ok((self.0)(answer, data))
    }
}

/// Gradients of many draws, one a row.
fn draws(objective: &PolicyGradient, count: u64, batch: &Batch) -> Tensor {
    let params = store();
    let policy = policy(&params);
    let each = (0..count).map(|seed| {
        let loss = with_seed(seed, || objective.loss(&policy as &dyn Density, batch).unwrap());
        gradient_of(&loss.value, &params)
    });
    Tensor::stack(&each.collect::<Vec<_>>(), 0)
}

#[test]
fn all_estimators_agree_in_the_mean() {
    let batch = Batch::new(normal(5, &[60, 2]) + 0.5);
    let reference = draws(&gradient(PATH, 0.3, Box::new(By(shift(0.0)))), 200, &batch);
    for (estimator, constant) in [(SCORE, 0.0), (PLAIN, 0.0), (SCORE, 40.0), (PLAIN, 3.0)] {
        let other = draws(&gradient(estimator, 0.3, Box::new(By(shift(constant)))), 200, &batch);
        let z = worst_z(&(&other - &reference));
        assert!(z < 5.0, "{estimator:?} with a constant of {constant}: {z} standard errors");
        assert!(worst_z(&(other * 1.2 - &reference)) > 5.0, "the test must see a fifth more");
    }
}

#[test]
fn the_optimum_is_gibbs() {
    // Policy N(mean, (λ/2) U⁻¹): stationary, and with U = (λ/2) S⁻¹ it is maximum likelihood's too.
    let data = normal(9, &[100, 2]).matmul(&matrix(&[1.0, 0.6, 0.0, 0.8]));
    let (mean, lambda) = (data.mean_dim([0_i64].as_slice(), true, None), 0.3);
    let offset = &data - &mean;
    let covariance = offset.tr().matmul(&offset) / 100.0;
    let params = store();
    let policy = FullNormal::new(&params.root(), 2, None, None).unwrap();
    let lower = covariance.linalg_cholesky(false);
    let entry = |i: i64, j: i64| lower.double_value(&[i, j]);
    let numbers = [entry(0, 0).ln(), entry(1, 1).ln(), entry(1, 0)];
    let at = Tensor::cat(&[mean.reshape([-1]), Tensor::from_slice(&numbers)], 0);
    tch::no_grad(|| params.trainable()[0].1.copy_(&at.view_as(&params.trainable()[0].1)));
    let batch = Batch::new(data);
    let likelihood = MaximumLikelihood.loss(&policy as &dyn Density, &batch).unwrap().value;
    assert!(gradient_of(&likelihood, &params).abs().max().double_value(&[]) < 1e-9);
    for estimator in [PATH, SCORE] {
        let reward = Mahalanobis::optimal(&covariance, lambda).unwrap();
        let objective = gradient(estimator, lambda, Box::new(reward));
        let z = |objective: &PolicyGradient| {
            let each = (0..120).map(|seed| {
                let loss = with_seed(seed, || objective.loss(&policy as &dyn Density, &batch));
                gradient_of(&loss.unwrap().value, &params)
            });
            worst_z(&Tensor::stack(&each.collect::<Vec<_>>(), 0))
        };
        assert!(z(&objective) < 5.0, "{estimator:?}");
        let other = Mahalanobis::isotropic(&covariance, lambda).unwrap();
        assert!(z(&gradient(estimator, lambda, Box::new(other))) > 5.0, "{estimator:?}");
    }
}

#[test]
fn closed_forms_of_the_matrix() {
    let sigma = matrix(&[1.0, 0.8, 0.8, 1.0]);
    let full = Mahalanobis::optimal(&sigma, 0.1).unwrap();
    assert!(distance(&full.matrix().matmul(&sigma), &(Tensor::eye(2, DOUBLE_CPU) * 0.05)) < 1e-14);
    let one = Mahalanobis::isotropic(&sigma, 0.1).unwrap();
    assert!(distance(one.matrix(), &(Tensor::eye(2, DOUBLE_CPU) * 0.05)) < 1e-14);
    // One-hot answers and U = I: 0 where they agree, -2 where not.
    let hot = Tensor::eye(3, DOUBLE_CPU);
    let unit = Mahalanobis::new(hot.copy()).unwrap();
    let rewards = unit.reward(&hot, &hot.index_select(0, &Tensor::from_slice(&[0_i64, 2, 2])));
    assert_eq!(rewards.unwrap(), Tensor::from_slice(&[0.0, -2.0, 0.0]));
    let wrong = Tensor::zeros([2, 3], DOUBLE_CPU);
    assert!(Mahalanobis::new(wrong).is_err() && Mahalanobis::optimal(&sigma, 0.0).is_err());
    assert!(unit.reward(&hot, &Tensor::zeros([2, 3], DOUBLE_CPU)).is_err());
    let config = |answers, estimator| PolicyGradientConfig { temperature: 0.1, answers, estimator };
    let reward = || Box::new(Mahalanobis::new(Tensor::eye(2, DOUBLE_CPU)).unwrap());
    assert!(config(1, SCORE).with(reward()).is_err() && config(1, PLAIN).with(reward()).is_ok());
    assert!(config(0, PATH).with(reward()).is_err());
    let text = "temperature = 0.1\nanswers = 8\nestimator = { kind = \"score\", baseline = true }";
    assert_eq!(toml::from_str::<PolicyGradientConfig>(text).unwrap(), config(8, SCORE));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Reward and temperature times c: loss and gradient times c. The value is the objective's, whatever
    /// the estimator; a baseline changes no value.
    #[test]
    fn scaling(seed in 0..1000_u64, c in 0.1..10.0_f64) {
        let params = store();
        let policy = policy(&params);
        let batch = Batch { weight: Some(normal(seed + 1, &[6]).abs()), ..Batch::new(normal(seed, &[6, 2])) };
        let run = |estimator, scale: f64| {
            let reward = By(move |a: &Tensor, y: &Tensor| shift(0.0)(a, y) * scale);
            let objective = gradient(estimator, 0.3 * scale, Box::new(reward));
            let loss = with_seed(seed, || objective.loss(&policy as &dyn Density, &batch).unwrap());
            (loss.value.double_value(&[]), gradient_of(&loss.value, &params))
        };
        for estimator in [SCORE, PLAIN, PATH] {
            let ((value, slope), (scaled, slopes)) = (run(estimator, 1.0), run(estimator, c));
            prop_assert!((scaled - c * value).abs() < 1e-9 * (1.0 + scaled.abs()));
            prop_assert!(distance(&slopes, &(&slope * c)) < 1e-8 * (1.0 + c));
            prop_assert!((value - run(PATH, 1.0).0).abs() < 1e-9 * (1.0 + value.abs()));
        }
    }

    /// The baseline is the mean of the others, by a loop.
    #[test]
    fn baseline_by_a_loop(seed in 0..1000_u64) {
        let (rows, each) = (3_i64, 4_i64);
        let log_prob = leaf(&normal(seed, &[rows * each])).unwrap();
        let value = normal(seed + 1, &[rows * each, 2]);
        let batch = Batch::new(normal(seed + 2, &[rows, 2]));
        let answers = Sampled { value: value.copy(), log_prob: log_prob.shallow_clone() };
        let loss = gradient(SCORE, 0.3, Box::new(By(shift(1.0)))).loss_at(&answers, &batch).unwrap();
        let found = maxlik_tensor::autograd::gradient(
            &loss.value, None, &log_prob, maxlik_tensor::autograd::Graph::Free).unwrap();
        for i in 0..rows {
            let data = batch.data.narrow(0, i, 1);
            let signal = |g: i64| {
                let answer = value.narrow(0, i * each + g, 1);
                shift(1.0)(&answer, &data).double_value(&[0]) - 0.3 * log_prob.double_value(&[i * each + g])
            };
            for g in 0..each {
                let others: f64 = (0..each).filter(|o| *o != g).map(signal).sum::<f64>() / 3.0;
                let expected = -(signal(g) - others) / (rows * each) as f64;
                prop_assert!((found.double_value(&[i * each + g]) - expected).abs() < 1e-12);
            }
        }
    }

    /// A quadratic inner loss: θ* = A⁻¹ B u in closed form, and so is the gradient through it.
    #[test]
    fn through_a_quadratic(seed in 0..1000_u64) {
        let root = normal(seed, &[3, 3]);
        let a = root.matmul(&root.tr()) + Tensor::eye(3, DOUBLE_CPU) * 0.5;
        let (b, target) = (normal(seed + 1, &[3, 2]), normal(seed + 2, &[3]));
        let u = leaf(&normal(seed + 3, &[2])).unwrap();
        let best = Tensor::linalg_solve(&a, &b.matmul(&u.detach()), true);
        // In two parts, to see that parameters of any shapes go together.
        let first = leaf(&best.narrow(0, 0, 1)).unwrap();
        let rest = leaf(&best.narrow(0, 1, 2).reshape([1, 2])).unwrap();
        let theta = Tensor::cat(&[first.reshape([-1]), rest.reshape([-1])], 0);
        let inner = theta.dot(&a.matmul(&theta)) * 0.5 - theta.dot(&b.matmul(&u));
        let outer = (&theta - &target).square().sum(None::<Kind>) + u.square().sum(None::<Kind>);
        let found = ImplicitGradient::default().run(&inner, &outer, &[&first, &rest], &[&u]).unwrap();
        let whole = Tensor::linalg_solve(&a, &b.matmul(&u), true);
        let exact = (whole - &target).square().sum(None::<Kind>) + u.square().sum(None::<Kind>);
        let exact = maxlik_tensor::autograd::gradient(
            &exact, None, &u, maxlik_tensor::autograd::Graph::Free).unwrap();
        prop_assert!(distance(&found.gradients[0], &exact) < 1e-4 * (1.0 + exact.abs().max().double_value(&[])));
        prop_assert!(found.solved.products <= 4 && found.solved.residual < 1e-6);
    }

    /// Conjugate gradients solve, damped too, within as many products as there are unknowns.
    #[test]
    fn conjugate_gradients_solve(seed in 0..1000_u64, damping in 0.0..2.0_f64) {
        let root = normal(seed, &[5, 5]);
        let h = root.matmul(&root.tr()) + Tensor::eye(5, DOUBLE_CPU) * 0.3;
        let b = normal(seed + 1, &[5]);
        let solver = ConjugateGradient { damping, products: 8, tolerance: 1e-10 };
        let solved = solver.run(|v| Ok(h.mv(v)), &b).unwrap();
        let back = h.mv(&solved.value) + &solved.value * damping;
        prop_assert!(distance(&back, &b) < 1e-7);
        let negative = -&h;
        prop_assert!(ConjugateGradient::default().run(|v| Ok(negative.mv(v)), &b).is_err());
    }
}

#[test]
fn nothing_to_solve_is_solved() {
    let zero = Tensor::zeros([3], DOUBLE_CPU);
    let solved = ConjugateGradient::default().run(|v| Ok(v.copy()), &zero).unwrap();
    assert_eq!((solved.products, solved.residual), (0, 0.0));
    assert!(ImplicitGradient::default().run(&zero, &zero, &[], &[]).is_err());
    let none = ConjugateGradient { products: 0, ..ConjugateGradient::default() };
    assert!(none.run(|v| Ok(v.copy()), &zero).is_err());
}
