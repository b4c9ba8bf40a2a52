use super::common::worst_z;
use maxlik_model::{Batch, Energy, Objective, Reconstruct, Score};
use maxlik_objectives::density::Target;
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::score::{
    ContractiveReconstruction, DenoisingReconstruction, DenoisingScoreMatching, Metropolis,
    ReconstructionScore, log_density_difference,
};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, gradient};
use maxlik_testkit::{distance, normal};
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

/// `r(x) = tanh(x A) B`.
#[derive(Debug)]
struct Tiny(Tensor, Tensor);

impl Reconstruct for Tiny {
    fn reconstruct(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x.f_matmul(&self.0)?.f_tanh()?.f_matmul(&self.1)?)
    }
}

/// `r(x) = x W`.
#[derive(Debug)]
struct Linear(Tensor);

impl Reconstruct for Linear {
    fn reconstruct(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x.f_matmul(&self.0)?)
    }
}

#[test]
fn denoising_is_denoising_score_matching() {
    let sigma = 0.4;
    let tiny = || Tiny(normal(1, &[3, 5]), normal(2, &[5, 3]));
    let (x, noise) = (normal(3, &[6, 3]), normal(4, &[6, 3]));
    let loss =
        DenoisingReconstruction::new(sigma).unwrap().each(&tiny(), &x, None, &noise).unwrap();
    let score = ReconstructionScore::new(tiny(), sigma).unwrap();
    let sigmas = Tensor::full([6], sigma, DOUBLE_CPU);
    let matching = DenoisingScoreMatching::new(sigma).unwrap();
    let matching = matching.each(&score, &x, None, &noise, &sigmas).unwrap();
    assert!(distance(&loss, &(matching * (2.0 * sigma.powi(4)))) < 1e-12);
    assert!(
        DenoisingReconstruction::new(0.0).is_err() && ContractiveReconstruction::new(-1.0).is_err()
    );
}

/// For data of covariance `S` both losses are stationary at `W = S (S + σ² I)⁻¹`.
#[test]
fn linear_optima() {
    let sigma = 0.7;
    let half = normal(5, &[50, 2]).matmul(&normal(6, &[2, 2]));
    // Noise of mean zero and unit covariance that is orthogonal to the data, exactly: all four signs
    // of two directions for each row.
    let signs = Tensor::from_slice(&[1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0]).reshape([4, 2]);
    let x = half.repeat_interleave_self_int(4, 0, None);
    let noise = signs.repeat([50, 1]);
    let covariance = half.transpose(0, 1).matmul(&half) / 50.0;
    let unit = Tensor::eye(2, DOUBLE_CPU);
    let best = (&covariance + &unit * (sigma * sigma)).inverse().matmul(&covariance);
    let slope = |weight: &Tensor, contractive: bool| {
        let weight = weight.copy().set_requires_grad(true);
        let model = Linear(weight.shallow_clone());
        let each = if contractive {
            ContractiveReconstruction::new(sigma).unwrap().each(&model, &x, None, &noise)
        } else {
            DenoisingReconstruction::new(sigma).unwrap().each(&model, &x, None, &noise)
        };
        let loss = each.unwrap().mean(Kind::Double);
        gradient(&loss, None, &weight, Graph::Free).unwrap().abs().max().double_value(&[])
    };
    for contractive in [false, true] {
        assert!(slope(&best, contractive) < 1e-10, "contractive: {contractive}");
        assert!(slope(&(&best * 1.1), contractive) > 1e-3, "contractive: {contractive}");
    }
    // The score of the optimum is that of N(0, S + σ² I).
    let score = ReconstructionScore::new(Linear(best), sigma).unwrap().score(&half, None).unwrap();
    let exact = -half.matmul(&(covariance + unit * (sigma * sigma)).inverse());
    assert!(distance(&score, &exact) < 1e-10);
}

/// Averaged over all sign vectors the penalty is the Frobenius norm.
#[test]
fn the_penalty_is_the_frobenius_norm() {
    let (a, b) = (normal(7, &[3, 5]), normal(8, &[5, 3]));
    let tiny = Tiny(a.shallow_clone(), b.shallow_clone());
    let x = normal(9, &[4, 3]);
    let mut mean = Tensor::zeros([4], DOUBLE_CPU);
    for signs in 0..8 {
        let v: Vec<f64> = (0..3).map(|i| if signs >> i & 1 == 1 { 1.0 } else { -1.0 }).collect();
        let v = Tensor::from_slice(&v).expand([4, 3], false);
        mean +=
            ContractiveReconstruction::new(0.5).unwrap().each(&tiny, &x, None, &v).unwrap() / 8.0;
    }
    let slopes =
        maxlik_tensor::autograd::jacobian(&|x| tiny.reconstruct(x, None), &x, Graph::Free).unwrap();
    let norm = slopes.square().sum_dim_intlist([1_i64, 2].as_slice(), false, None::<Kind>);
    let off = (tiny.reconstruct(&x, None).unwrap() - &x).square();
    let exact = off.sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>) + norm * 0.25;
    assert!(distance(&mean, &exact) < 1e-12);
    let loss = ContractiveReconstruction::new(0.5).unwrap();
    let loss = loss.loss(&tiny as &dyn Reconstruct, &Batch::new(x)).unwrap();
    assert!(loss.value.double_value(&[]).is_finite());
}

/// `E[x | x + σε] = x̃ + σ² ∇ ln p_σ(x̃)` for a mixture on the line, by quadrature.
#[test]
fn tweedies_formula() {
    let mixture = NormalMixture::hypercube(1, 0.2).unwrap();
    let sigma = 0.6;
    let nodes = 4000;
    let x = (Tensor::arange(nodes, DOUBLE_CPU) + 0.5) * (16.0 / nodes as f64) - 8.0;
    let prior = (-mixture.energy(&x.unsqueeze(1), None).unwrap()).exp();
    for noisy in [-2.0, -0.3, 0.0, 0.8, 1.7] {
        let likelihood = ((&x - noisy) / sigma).square() * -0.5;
        let joint = &prior * likelihood.exp();
        let mean = ((&joint * &x).sum(Kind::Double) / joint.sum(Kind::Double)).double_value(&[]);
        let at = Tensor::from_slice(&[noisy]).reshape([1, 1]);
        let score = mixture.smoothed(sigma * sigma).unwrap().score(&at, None).unwrap();
        let tweedie = noisy + sigma * sigma * score.double_value(&[0, 0]);
        assert!((mean - tweedie).abs() < 1e-8, "{noisy}: {mean} and {tweedie}");
    }
}

#[test]
fn line_integrals() {
    // Linear scores: one node is exact.
    let normal_law =
        NormalMixture::new(&Tensor::zeros([1, 2], DOUBLE_CPU), &Tensor::ones([1], DOUBLE_CPU), 0.7)
            .unwrap();
    let (a, b) = (normal(10, &[6, 2]), normal(11, &[6, 2]));
    let exact = |m: &NormalMixture| m.energy(&a, None).unwrap() - m.energy(&b, None).unwrap();
    for nodes in 1..=3 {
        let found = log_density_difference(&normal_law, &a, &b, nodes).unwrap();
        assert!(distance(&found, &exact(&normal_law)) < 1e-12, "{nodes} nodes");
    }
    // A mixture: the error falls as the step to the power 2n + 1; by any path it is the difference.
    let mixture = NormalMixture::hypercube(2, 0.5).unwrap();
    let error = |part: f64, nodes: usize| {
        let end = &a + (&b - &a) * part;
        let exact = mixture.energy(&a, None).unwrap() - mixture.energy(&end, None).unwrap();
        distance(&log_density_difference(&mixture, &a, &end, nodes).unwrap(), &exact)
    };
    for (nodes, order) in [(1, 3), (2, 5), (3, 7)] {
        let ratio = error(0.2, nodes) / error(0.1, nodes);
        assert!(ratio > 0.6 * 2.0_f64.powi(order), "{nodes} nodes: {ratio}");
    }
    assert!(log_density_difference(&mixture, &a, &b, 4).is_err());
}

/// Chains with the exact score that start at the target stay there; others come there.
#[test]
fn metropolis_leaves_the_target_invariant() {
    let mixture = NormalMixture::hypercube(2, 0.5).unwrap();
    let sampler = Metropolis::new(0.8, 3).unwrap();
    let (exact, away) = maxlik_tensor::with_seed(12, || {
        let start = mixture.sample(20_000, DOUBLE_CPU).unwrap();
        let chains = sampler.run(&mixture, &start, 10).unwrap();
        let far = sampler.run(&mixture, &Tensor::full([5000, 2], 3.0, DOUBLE_CPU), 80).unwrap();
        (chains, far)
    });
    assert_eq!(exact.states.size(), [10, 20_000, 2]);
    assert!((0.3..0.9).contains(&exact.accepted), "{}", exact.accepted);
    for last in [exact.states.get(9), away.states.get(79)] {
        assert!(worst_z(&last) < 5.0);
        assert!(worst_z(&(last.square() - 1.5)) < 5.0);
    }
    assert!(Metropolis::new(0.0, 3).is_err() && Metropolis::new(1.0, 0).is_err());
    assert!(sampler.run(&mixture, &Tensor::zeros([2, 2], DOUBLE_CPU), 0).is_err());
}
