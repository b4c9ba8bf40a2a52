//! Handwritten digits by a diffusion ODE.

use super::measure::{Likelihood, Spread, bound, cost_at, matching};
use super::network::DigitNet;
use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_data::digits;
use maxlik_data::tensor::array_to_tensor;
use maxlik_model::{Batch, Density, Objective, VectorField};
use maxlik_nn::Params;
use maxlik_objectives::diffusion::{SecondOrder, Times};
use maxlik_ode::diffusion::{Dequantization, NoisePath};
use maxlik_tensor::Seeds;
use maxlik_train::plot::{Images, LineChart, Series, Stroke, png};
use maxlik_train::{OptimConfig, Schedule};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor};

pub(super) const DIMS: i64 = digits::PIXELS as i64;
pub(super) const LEVELS: f64 = digits::LEVELS as f64;
pub(super) const PATH: NoisePath = NoisePath::VariancePreserving;
/// `−2 ln 51`: half a bin, 1/17, is three standard deviations of the first noise.
pub(super) const G0: f64 = -7.863_651_265_448_65;
pub(super) const G1: f64 = 5.0;

/// Sizes of the experiment.
#[derive(Debug, Clone, Copy)]
struct Budget {
    hidden: i64,
    steps: u64,
    /// Steps of fine-tuning.
    tuning: u64,
    /// Batches whose losses are compared.
    batches: i64,
    /// Draws of the evidence bound for each test image.
    draws: i64,
    /// Images of the importance-weighted bound, and points for each of them.
    weighted: [i64; 2],
}

const FULL: Budget =
    Budget { hidden: 256, steps: 3000, tuning: 500, batches: 200, draws: 16, weighted: [36, 20] };
const BATCH: i64 = 128;

/// The middles of the pixels' levels in `[−1, 1]`, `[N, 64]`.
fn part(indices: &[usize]) -> Result<Tensor> {
    let part = digits::dataset::<f64>()?.select(indices)?;
    let levels = array_to_tensor(part.rows(), &[part.dims()], Device::Cpu)?;
    Ok(((levels * 2.0 + 1.0) / LEVELS - 1.0).f_to_kind(Kind::Float)?)
}

/// A network with its parameters.
#[derive(Debug)]
struct Trained {
    params: Params,
    net: DigitNet,
}

/// How a network is trained.
#[derive(Debug)]
struct Plan<'a> {
    /// Its first values, where it is not new.
    from: Option<&'a Params>,
    objective: &'a dyn Objective<dyn VectorField>,
    steps: u64,
    lr: f64,
}

fn train(seed: u64, hidden: i64, data: &Tensor, plan: &Plan<'_>) -> Result<Trained> {
    let start = Instant::now();
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let net = DigitNet::new(&params, hidden)?;
    if let Some(from) = plan.from {
        params.load(&from.named())?;
    }
    let optim = OptimConfig {
        steps: plan.steps,
        lr: plan.lr,
        weight_decay: 0.01,
        betas: [0.9, 0.99],
        clip: 10.0,
        ema: 0.99,
        schedule: Schedule::Cosine { warmup: 20, last: 0.01 },
        ..OptimConfig::default()
    };
    fit(&params, &optim, seed, |_| {
        let index = Tensor::f_randint(data.size()[0], [BATCH], (Kind::Int64, Device::Cpu))?;
        let batch = Batch::new(data.f_index_select(0, &index)?);
        // Nats for each dimension: gradients of a usual size.
        Ok(plan.objective.loss(&net as &dyn VectorField, &batch)?.value / DIMS as f64)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    tracing::info!("  {} steps: {seconds:.1} s", plan.steps);
    Ok(Trained { params, net })
}

/// The three networks: trained, fine-tuned with the second order, and trained on without it.
#[derive(Debug)]
struct Models {
    first: Trained,
    second: Trained,
    longer: Trained,
}

impl Models {
    fn train(seed: u64, data: &Tensor, budget: Budget) -> Result<Self> {
        let plain = matching(Times::Importance);
        let tuned = SecondOrder { first: plain, strength: 0.1 };
        let plan = Plan { from: None, objective: &plain, steps: budget.steps, lr: 2e-3 };
        let first = train(seed, budget.hidden, data, &plan)?;
        let plan = Plan { from: Some(&first.params), steps: budget.tuning, lr: 5e-4, ..plan };
        let longer = train(seed + 1, budget.hidden, data, &plan)?;
        let second = train(seed + 1, budget.hidden, data, &Plan { objective: &tuned, ..plan })?;
        Ok(Self { first, second, longer })
    }
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    run(seed, FULL, out)
}

fn run(seed: u64, budget: Budget, out: &Path) -> Result<Vec<Check>> {
    let split = digits::split(digits::SPLIT_SEED)?;
    let (data, test) = (part(&split.train)?, part(&split.test)?);
    let models = Models::train(seed, &data, budget)?;
    let net = &models.first.net;

    Seeds::new(seed).stream("measures").seed_torch(0);
    let sizes = [budget.batches, BATCH];
    let uniform = Spread::of(net, &data, Times::Uniform, sizes)?;
    let important = Spread::of(net, &data, Times::Importance, sizes)?;
    let rows = budget.batches * BATCH;
    let single = |times| Spread::of_rows(net, &data, times, rows);
    let (single_uniform, single_important) = (single(Times::Uniform)?, single(Times::Importance)?);
    let many = test.f_repeat([budget.draws, 1])?;
    let elbo = bound(net, &many)?;
    chart(&models, &test, out)?;

    let normal = |net: DigitNet| -> Result<(Likelihood, f64)> {
        let likelihood = Likelihood::new(net)?;
        let bits = likelihood.weights(seed, &test, Dequantization::TruncatedNormal, 1)?.bits()?;
        Ok((likelihood, bits))
    };
    let start = Instant::now();
    let (likelihood, truncated) = normal(models.first.net)?;
    let flat = likelihood.weights(seed, &test, Dequantization::Uniform, 1)?.bits()?;
    let [images, points] = budget.weighted;
    let some = test.f_narrow(0, 0, images)?;
    let weights = likelihood.weights(seed, &some, Dequantization::TruncatedNormal, points)?;
    let (_, second) = normal(models.second.net)?;
    let (_, longer) = normal(models.longer.net)?;
    samples(&likelihood, seed, out)?;
    tracing::info!("  all after training: {:.1} s", start.elapsed().as_secs_f64());

    Ok(vec![
        Check::at_most(
            "digits: test bits/dim, truncated normal less uniform dequantization",
            "at most −0.02",
            truncated - flat,
            -0.02,
        )
        .beside("truncated normal", truncated),
        Check::at_most(
            "digits: test bits/dim, importance-weighted bound of 20 points less that of one",
            "at most 0",
            weights.weighted_bits()? - weights.bits()?,
            0.0,
        )
        .beside("the evidence bound (not of the ODE)", elbo),
        Check::at_most(
            "digits: standard deviation of a row's loss, importance-sampled / uniform levels",
            "at most 0.7",
            single_important.std / single_uniform.std,
            0.7,
        )
        .beside("of a batch of stratified levels", important.std / uniform.std),
        Check::at_most(
            "digits: the means of these losses apart, in standard errors",
            "at most 4",
            important.apart(uniform).max(single_important.apart(single_uniform)),
            4.0,
        )
        .beside("the mean, nats", important.mean),
        Check::at_most(
            "digits: test bits/dim, after less before fine-tuning with the second order",
            "at most 0",
            second - truncated,
            0.0,
        )
        .beside("as many steps without it, less before", longer - truncated),
    ])
}

/// What the bound pays at each noise level, before and after fine-tuning.
fn chart(models: &Models, test: &Tensor, out: &Path) -> Result<()> {
    const NODES: i64 = 60;
    let title = "Digits: what the evidence bound pays";
    let mut chart = LineChart::new(title, "γ = ln(σ²/α²)", "½ E‖ε − ε̂‖², nats");
    let all = [("trained", &models.first), ("second order", &models.second)];
    for (name, model) in all {
        let node = |i: i64| -> Result<(f64, f64)> {
            let gamma = G0 + (G1 - G0) * (i as f64 + 0.5) / NODES as f64;
            Ok((gamma, cost_at(&model.net, test, gamma)?))
        };
        let points = (0..NODES).map(node).collect::<Result<_>>()?;
        chart = chart.series(Series { name: name.to_owned(), points, stroke: Stroke::Line });
    }
    std::fs::write(out.join("levels.svg"), chart.svg())?;
    Ok(())
}

/// Samples by the ODE.
fn samples(likelihood: &Likelihood, seed: u64, out: &Path) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    Seeds::new(seed).stream("sampler").seed_torch(0);
    let x = likelihood.flow.sample(60, None)?;
    let values = maxlik_tensor::host::to_vec(&((x + 1.0) * 0.5).f_clamp(0.0, 1.0)?)?;
    let images = Images { values, channels: 1, height: digits::SIDE, width: digits::SIDE };
    std::fs::write(out.join("samples.png"), png(&images.inverted().grid(20, 5, 5)?)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Budget, G0, LEVELS, run};

    #[test]
    fn half_a_bin_is_three_standard_deviations() {
        assert!(((-0.5 * G0).exp() / LEVELS - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_few_steps_give_all_numbers() {
        let budget =
            Budget { hidden: 8, steps: 3, tuning: 2, batches: 3, draws: 1, weighted: [4, 2] };
        let folder = tempfile::tempdir().unwrap();
        let checks = run(1, budget, folder.path()).unwrap();
        assert!(checks.iter().all(|check| check.result.is_finite()), "{checks:?}");
        // By Jensen's inequality, whatever the network.
        assert!(checks[1].result < 0.0);
        assert!(folder.path().join("levels.svg").exists());
        assert!(folder.path().join("samples.png").exists());
    }
}
