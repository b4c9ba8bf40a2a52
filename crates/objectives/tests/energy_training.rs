//! Training a flow as an energy: no determinant that does not depend on the data.

use super::common::{gradient_of, jitter, store, worst_z};
use maxlik_flows::{Flow, FlowConfig, LayerConfig};
use maxlik_model::{Batch, Density, Energy, Objective, Score};
use maxlik_nn::Params;
use maxlik_objectives::density::{
    ContrastiveLikelihood, MaximumLikelihood, ParameterNorm, Penalized, ScoreNorm,
};
use maxlik_objectives::score::{
    DenoisingScoreMatching, ExplicitScoreMatching, FiniteDifferenceScoreMatching, ScoreOf,
    SlicedScoreMatching,
};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_tensor::logdet::factorizations;
use maxlik_testkit::{distance, normal};
use tch::{Kind, Tensor};

fn flow(params: &Params, dims: i64) -> Flow {
    let text = r#"
        layers = [{ kind = "dense" }, { kind = "elementwise", map = { kind = "smooth_leaky_relu", slope = 0.3 } },
                  { kind = "low_rank_linear", rank = 2 }, { kind = "actnorm" },
                  { kind = "affine_coupling", mask = "odd", network = { kind = "mlp", hidden = [6], activation = "tanh" } },
                  { kind = "dense" }]
        base = { kind = "normal" }"#;
    let config: FlowConfig = toml::from_str(text).unwrap();
    let flow = config.build(&params.root(), dims, None, Vec::new()).unwrap();
    jitter(params, 0.2);
    flow
}

#[test]
fn score_matching_factors_no_matrix() {
    let params = store();
    let model = ScoreOf(flow(&params, 4));
    let batch = Batch::new(normal(1, &[5, 4]));
    let step = |loss: &dyn Fn() -> Tensor| {
        let before = factorizations();
        let size = gradient_of(&loss(), &params).abs().max().double_value(&[]);
        assert!(size > 0.0);
        factorizations() - before
    };
    let of = |loss: maxlik_tensor::Result<maxlik_model::Loss>| loss.unwrap().value;
    let score = &model as &dyn Score;
    assert_eq!(step(&|| of(ExplicitScoreMatching.loss(score, &batch))), 0);
    assert_eq!(step(&|| of(SlicedScoreMatching::default().loss(score, &batch))), 0);
    assert_eq!(step(&|| of(DenoisingScoreMatching::new(0.3).unwrap().loss(score, &batch))), 0);
    let differences = FiniteDifferenceScoreMatching::new(0.1).unwrap();
    assert_eq!(step(&|| of(differences.loss(&model as &dyn Energy, &batch))), 0);
    let samples = normal(2, &[5, 4]);
    assert_eq!(step(&|| ContrastiveLikelihood::loss_at(&model.0, &batch, &samples).unwrap()), 0);
    assert_eq!(step(&|| of(MaximumLikelihood.loss(&model.0 as &dyn Density, &batch))), 3);
}

/// `∇(−E)` is `∇ ln p`, and `ln p + E` is one number for all `x`.
#[test]
fn the_energy_lacks_a_constant_only() {
    let params = store();
    let model = ScoreOf(flow(&params, 4));
    let x = normal(3, &[8, 4]);
    let sum = model.energy(&x, None).unwrap() + model.0.log_prob(&x, None).unwrap();
    assert!(distance(&sum, &sum.get(0).expand([8], false)) < 1e-10);
    assert!(sum.get(0).abs().double_value(&[]) > 1e-6, "no constant was left out");
    let inner = leaf(&x).unwrap();
    let log_prob = model.0.log_prob(&inner, None).unwrap().sum(Kind::Double);
    let exact = gradient(&log_prob, None, &inner, Graph::Free).unwrap();
    assert!(distance(&model.score(&x, None).unwrap(), &exact) < 1e-10);
}

/// A linear flow on data of covariance `S`: score matching is stationary at `Wᵀ W = S⁻¹`.
#[test]
fn linear_flows_learn_the_precision() {
    let params = store();
    let config = FlowConfig {
        layers: vec![LayerConfig::Dense {}],
        ..FlowConfig::realnvp(0, &Default::default())
    };
    let model = ScoreOf(config.build(&params.root(), 3, None, Vec::new()).unwrap());
    let x = normal(4, &[200, 3]).matmul(&normal(5, &[3, 3]));
    let x = &x - x.mean_dim([0_i64].as_slice(), true, None);
    let covariance = x.transpose(0, 1).matmul(&x) / 200.0;
    // W = L⁻¹ with S = L Lᵀ.
    let whitening = covariance.linalg_cholesky(false).inverse();
    let load = |weight: &Tensor| {
        let values: Vec<_> = params
            .named()
            .into_iter()
            .map(|(name, old)| {
                let value = if name.ends_with("weight") { weight.copy() } else { old.zeros_like() };
                (name, value)
            })
            .collect();
        params.load(&values).unwrap();
        let loss = ExplicitScoreMatching.loss(&model as &dyn Score, &Batch::new(x.copy())).unwrap();
        gradient_of(&loss.value, &params).abs().max().double_value(&[])
    };
    assert!(load(&whitening) < 1e-9 * whitening.abs().max().double_value(&[]).powi(3));
    assert!(load(&(whitening * 1.1)) > 1e-3);
}

/// The contrastive gradient in the mean over samples of the model is that of likelihood.
#[test]
fn contrastive_likelihood_is_unbiased() {
    let params = store();
    let model = flow(&params, 3);
    let batch = Batch::new(normal(6, &[40, 3]));
    let exact = gradient_of(
        &MaximumLikelihood.loss(&model as &dyn Density, &batch).unwrap().value,
        &params,
    );
    let each: Vec<Tensor> = (0..60)
        .map(|seed| {
            let samples = maxlik_tensor::with_seed(seed, || model.sample(1000, None).unwrap());
            let loss = ContrastiveLikelihood::loss_at(&model, &batch, &samples).unwrap();
            gradient_of(&loss, &params) - &exact
        })
        .collect();
    let z = worst_z(&Tensor::stack(&each, 0));
    assert!(z < 5.0, "off by {z} standard errors");
    let loss = ContrastiveLikelihood.loss(&model as &dyn Density, &batch).unwrap();
    assert!(loss.value.double_value(&[]).is_finite());
}

/// With a prior `N(0, I/(λN))` on the mean of a unit normal the posterior mode is `x̄/(1 + λ)`.
#[test]
fn penalties() {
    let params = store();
    let config = FlowConfig {
        layers: vec![LayerConfig::Actnorm {}],
        ..FlowConfig::realnvp(0, &Default::default())
    };
    let model = config.build(&params.root(), 2, None, Vec::new()).unwrap();
    let named = params.trainable();
    let mean = &named.iter().find(|(name, _)| name.ends_with("mean")).unwrap().1;
    let x = normal(7, &[50, 2]) + 2.0;
    let weight = 0.3;
    let mode = x.mean_dim([0_i64].as_slice(), false, None) / (1.0 + weight);
    {
        let _no_grad = tch::no_grad_guard();
        mean.shallow_clone().copy_(&mode);
    }
    let penalty = Box::new(ParameterNorm::new(std::slice::from_ref(mean)));
    let objective = Penalized::new(MaximumLikelihood, weight, penalty).unwrap();
    let batch = Batch::new(x);
    let loss = objective.loss(&model as &dyn Density, &batch).unwrap();
    assert_eq!(loss.metrics[0].name, "parameter_norm");
    let found = gradient(&loss.value, None, mean, Graph::Free).unwrap();
    assert!(found.abs().max().double_value(&[]) < 1e-12);
    // The score of a unit normal at x is m − x.
    let rough = Penalized::new(MaximumLikelihood, 2.0, Box::new(ScoreNorm)).unwrap();
    let value = |o: &dyn Objective<dyn Density>| {
        o.loss(&model as &dyn Density, &batch).unwrap().value.double_value(&[])
    };
    let norm = (&batch.data - &mode).square().sum(Kind::Double).double_value(&[]) / 50.0;
    assert!((value(&rough) - value(&MaximumLikelihood) - 2.0 * norm).abs() < 1e-10);
    assert!(Penalized::new(MaximumLikelihood, -1.0, Box::new(ScoreNorm)).is_err());
}
