//! Few samples of a mixture with a known energy: forward Kullback–Leibler by path gradients beside
//! maximum likelihood.
//!
//! The flow has spline couplings. With four affine couplings (the same networks, 2,000 steps of Adam
//! at 10⁻³ without decay, seed 0) path gradients came to 11.59 nats on test data and 11.35 on training
//! data, likelihood to 95.77 and 6.61; the least test values on the way were 9.80 after 300 and 9.84
//! after 100 steps. Far from the target the part of the gradient that path gradients leave out has
//! no small mean over fixed samples, and the specification's bound of 9.60 was not met.

use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::{Context, Result};
use maxlik_flows::univariate::Scale;
use maxlik_flows::{
    BaseConfig, Flow, FlowConfig, LayerConfig, Mask, NetworkConfig, SplineConfig, UnivariateConfig,
};
use maxlik_model::{Batch, Density, Energy, Objective, PathDensity};
use maxlik_nn::{Activation, MlpConfig, Params};
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::density::{
    Estimator, ForwardKl, ReverseKl, Target, forward_ess, reverse_ess,
};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{LineChart, Series, Stroke};
use maxlik_train::{OptimConfig, Schedule};
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Coordinates of the mixture; it has `2^DIMS` components of this variance at `(±1)^DIMS`.
pub(super) const DIMS: i64 = 6;
pub(super) const VARIANCE: f64 = 0.5;
/// Its entropy in nats, and the negative log-likelihood of the normal of its moments.
const ENTROPY: f64 = 9.434_622_473_9;
const GAUSSIAN: f64 = 9.730_026_523_8;
const ROWS: i64 = 500;
const TEST: i64 = 10_000;
const STEPS: u64 = 1500;

pub(super) fn mixture() -> Result<NormalMixture> {
    Ok(NormalMixture::hypercube(DIMS, VARIANCE)?)
}

fn network() -> NetworkConfig {
    let mlp = MlpConfig { hidden: vec![64, 64], activation: Activation::Tanh, dropout: 0.0 };
    NetworkConfig::Mlp(mlp)
}

/// Four couplings of these.
fn couplings(layer: impl Fn(Mask) -> LayerConfig) -> FlowConfig {
    let layers = (0..4).map(|i| layer(Mask::alternating(i))).collect();
    FlowConfig { layers, base: BaseConfig::Normal {} }
}

/// Affine couplings, whose step is timed.
pub(super) fn affine() -> FlowConfig {
    let scale = Scale::default();
    couplings(|mask| LayerConfig::AffineCoupling { mask, network: network(), scale })
}

/// Couplings by mixtures of logistics, closed from latent to data, with an inverse by root finding.
pub(super) fn implicit() -> FlowConfig {
    let map = UnivariateConfig::LogisticMixture { components: 4 };
    couplings(|mask| {
        let coupling = LayerConfig::Coupling { mask, map, network: network() };
        LayerConfig::Inverse { layer: Box::new(coupling) }
    })
}

/// Spline couplings, which can come near the mixture.
fn spline() -> FlowConfig {
    let spline = SplineConfig::default();
    couplings(|mask| LayerConfig::SplineCoupling { mask, network: network(), spline })
}

struct Fitted {
    flow: Flow,
    params: Params,
    /// Step, training and test negative log-likelihood.
    curve: Vec<(f64, f64, f64)>,
}

fn nll(flow: &Flow, x: &Tensor) -> Result<f64> {
    let _no_grad = tch::no_grad_guard();
    let log_prob = flow.log_prob(x, None)?.f_to_kind(Kind::Double)?;
    Ok(-host::scalar(&log_prob.f_mean(Kind::Double)?)?)
}

fn train(seed: u64, estimator: Estimator, data: &Tensor, test: &Tensor) -> Result<Fitted> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let flow = spline().build(&params.root(), DIMS, None, Vec::new())?;
    let objective = ForwardKl::new(Box::new(mixture()?), estimator);
    let optim = OptimConfig {
        steps: STEPS,
        lr: 1e-3,
        schedule: Schedule::Cosine { warmup: 0, last: 0.01 },
        ..OptimConfig::default()
    };
    let mut curve = Vec::new();
    fit(&params, &optim, seed, |step| {
        if step % 100 == 0 {
            curve.push((step as f64, nll(&flow, data)?, nll(&flow, test)?));
        }
        let chosen =
            Tensor::f_randperm(ROWS, (Kind::Int64, Device::Cpu))?.f_narrow(0, 0, ROWS / 2)?;
        let batch = Batch::new(data.f_index_select(0, &chosen)?);
        Ok(objective.loss(&flow as &dyn PathDensity, &batch)?.value)
    })?;
    curve.push((STEPS as f64, nll(&flow, data)?, nll(&flow, test)?));
    Ok(Fitted { flow, params, curve })
}

/// Effective parts of 10,000 samples: of the model's, and of the target's.
fn effective(flow: &Flow, test: &Tensor) -> Result<[f64; 2]> {
    let _no_grad = tch::no_grad_guard();
    let target = mixture()?;
    let logs = |x: &Tensor| -> Result<Tensor> {
        Ok(-target.energy(x, None)?.f_add(&flow.log_prob(x, None)?)?)
    };
    let own = flow.sample(TEST, None)?;
    Ok([reverse_ess(&logs(&own)?)?, forward_ess(&logs(test)?)?])
}

/// The summed variance of the reverse divergence's gradient over batches of 250 samples.
fn variance(fitted: &Fitted, estimator: Estimator) -> Result<f64> {
    let objective = ReverseKl::new(Box::new(mixture()?), estimator);
    let named = fitted.params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
    let mut rows = Vec::new();
    for _ in 0..40 {
        let z = Tensor::f_randn([ROWS / 2, DIMS], FLOAT_CPU)?;
        let loss = objective.loss_at(&fitted.flow, &z, None)?.value;
        let found = grad(&[&loss], &[None], &leaves, Graph::Free)?;
        let flat = found.into_iter().flatten().map(|g| g.f_reshape([-1]));
        rows.push(Tensor::f_cat(&flat.collect::<Result<Vec<_>, _>>()?, 0)?);
    }
    let variances = Tensor::f_stack(&rows, 0)?.f_var_dim([0_i64].as_slice(), true, false)?;
    Ok(host::scalar(&variances.f_sum(Kind::Double)?)?)
}

fn picture(out: &Path, path: &Fitted, likelihood: &Fitted) -> Result<()> {
    let line = |name: &str, fitted: &Fitted, test: bool| Series {
        name: name.to_owned(),
        points: fitted.curve.iter().map(|&(s, a, b)| (s, if test { b } else { a })).collect(),
        stroke: Stroke::Line,
    };
    let chart = LineChart::new("Mixture in 6 dimensions, 500 samples", "step", "NLL (nats)")
        .series(line("path, test", path, true))
        .series(line("path, training", path, false))
        .series(line("likelihood, test", likelihood, true))
        .series(line("likelihood, training", likelihood, false))
        .level("entropy", ENTROPY);
    let file = out.join("over-fitting.svg");
    std::fs::write(&file, chart.svg()).with_context(|| file.display().to_string())
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let target = mixture()?;
    Seeds::new(seed).stream("data").seed_torch(0);
    let data = target.sample(ROWS, FLOAT_CPU)?;
    let test = target.sample(TEST, FLOAT_CPU)?;
    let path = train(seed, Estimator::FastPath, &data, &test)?;
    let likelihood = train(seed, Estimator::Standard, &data, &test)?;
    picture(out, &path, &likelihood)?;
    let last = |fitted: &Fitted| fitted.curve.last().copied().unwrap_or_default();
    let ((_, path_train, path_test), (_, train, test_nll)) = (last(&path), last(&likelihood));
    Seeds::new(seed).stream("evaluation").seed_torch(0);
    let (own, other) = (effective(&path.flow, &test)?, effective(&likelihood.flow, &test)?);
    let (quiet, noisy) =
        (variance(&path, Estimator::FastPath)?, variance(&path, Estimator::Standard)?);
    Ok(vec![
        Check::at_most(
            "mixture in 6-D, 500 samples, path: test NLL, nats",
            "at most 9.60",
            path_test,
            9.60,
        )
        .beside("entropy", ENTROPY),
        Check::at_least(
            "the same, test NLL of maximum likelihood minus that of path gradients, nats",
            "at least 0.05",
            test_nll - path_test,
            0.05,
        )
        .beside("NLL of a normal of the true moments", GAUSSIAN),
        Check::at_most(
            "the same, path: test minus training NLL, nats",
            "below that of maximum likelihood",
            path_test - path_train,
            test_nll - train,
        )
        .beside("maximum likelihood", test_nll - train),
        Check::at_least("the same, path: reverse ESS", "at least likelihood's", own[0], other[0])
            .beside("maximum likelihood", other[0]),
        Check::at_least("the same, path: forward ESS", "at least likelihood's", own[1], other[1])
            .beside("maximum likelihood", other[1]),
        Check::at_most(
            "reverse divergence at that model: gradient variance, path / standard",
            "at most 1",
            quiet / noisy,
            1.0,
        ),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{DIMS, ENTROPY, GAUSSIAN, VARIANCE, mixture};
    use maxlik_model::Energy;
    use maxlik_objectives::density::Target;
    use tch::{Kind, kind::DOUBLE_CPU};

    #[test]
    fn reference_numbers() {
        let moments =
            f64::from(DIMS as i32) * 0.5 * (1.0 + (std::f64::consts::TAU * (1.0 + VARIANCE)).ln());
        assert!((moments - GAUSSIAN).abs() < 1e-9);
        let target = mixture().unwrap();
        let x = maxlik_tensor::with_seed(1, || target.sample(20_000, DOUBLE_CPU)).unwrap();
        let energy = target.energy(&x, None).unwrap();
        let error = energy.std(true).double_value(&[]) / 20_000.0_f64.sqrt();
        assert!((energy.mean(Kind::Double).double_value(&[]) - ENTROPY).abs() < 5.0 * error);
    }
}
