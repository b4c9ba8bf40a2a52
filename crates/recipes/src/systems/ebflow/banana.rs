//! A banana in the plane: likelihood and three kinds of score matching on one flow.

use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::{Context, Result};
use maxlik_flows::{BaseConfig, Flow, FlowConfig, LayerConfig, Mask, NetworkConfig};
use maxlik_model::{Batch, Density, Energy, Objective, Score};
use maxlik_nn::{Activation, MlpConfig, Params};
use maxlik_objectives::density::MaximumLikelihood;
use maxlik_objectives::score::{
    DenoisingScoreMatching, FiniteDifferenceScoreMatching, ScoreOf, SlicedScoreMatching,
};
use maxlik_tensor::logdet::factorizations;
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Heatmap, Panel, Plane};
use maxlik_train::{OptimConfig, Schedule};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Entropy in nats, and the negative log-likelihood of the normal of the true moments.
const ENTROPY: f64 = 2.144_729_885_9;
const GAUSSIAN: f64 = 2.694_036_030_2;
const STD: f64 = 0.5;
const BATCH: i64 = 512;
/// All four are within 0.01 nats of the entropy by then.
const STEPS: u64 = 2000;
const TEST: i64 = 10_000;

/// `x ~ N(0, 1)`, `y | x ~ N(x²/2, ¼)`.
fn draw(rows: i64) -> Result<Tensor> {
    let noise = Tensor::f_randn([rows, 2], FLOAT_CPU)?;
    let x = noise.f_narrow(1, 0, 1)?;
    let y = x.f_square()? * 0.5 + noise.f_narrow(1, 1, 1)? * STD;
    Ok(Tensor::f_cat(&[x, y], 1)?)
}

/// Four blocks of a dense matrix, an affine coupling and an activation normalisation.
fn config() -> FlowConfig {
    let mlp = MlpConfig { hidden: vec![64, 64], activation: Activation::Silu, dropout: 0.0 };
    let block = || {
        let coupling = LayerConfig::AffineCoupling {
            mask: Mask::Odd,
            network: NetworkConfig::Mlp(mlp.clone()),
            scale: Default::default(),
        };
        [LayerConfig::Dense {}, coupling, LayerConfig::Actnorm {}]
    };
    let layers = (0..4).flat_map(|_| block()).chain([LayerConfig::Dense {}]);
    FlowConfig { layers: layers.collect(), base: BaseConfig::Normal {} }
}

/// How a flow is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Likelihood,
    Sliced,
    Denoising,
    Differences,
}

struct Fitted {
    model: ScoreOf<Flow>,
    /// Factorizations in all steps.
    factored: u64,
    /// On fresh data, in nats.
    nll: f64,
}

fn train(seed: u64, by: By) -> Result<Fitted> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let model = ScoreOf(config().build(&params.root(), 2, None, Vec::new())?);
    Seeds::new(seed).stream("initialize").seed_torch(0);
    model.0.initialize(&draw(BATCH)?, None)?;
    let optim = OptimConfig {
        steps: STEPS,
        lr: 1e-3,
        clip: 10.0,
        ema: 0.999,
        schedule: Schedule::Cosine { warmup: 20, last: 0.01 },
        ..OptimConfig::default()
    };
    let sliced = SlicedScoreMatching::default();
    let denoising = DenoisingScoreMatching::new(0.1)?;
    let differences = FiniteDifferenceScoreMatching::new(0.1)?;
    let before = factorizations();
    let start = Instant::now();
    fit(&params, &optim, seed, |_| {
        let batch = Batch::new(draw(BATCH)?);
        let loss = match by {
            By::Likelihood => MaximumLikelihood.loss(&model.0 as &dyn Density, &batch)?,
            By::Sliced => sliced.loss(&model as &dyn Score, &batch)?,
            By::Denoising => denoising.loss(&model as &dyn Score, &batch)?,
            By::Differences => differences.loss(&model as &dyn Energy, &batch)?,
        };
        Ok(loss.value)
    })?;
    let factored = factorizations() - before;
    let seconds = start.elapsed().as_secs_f64();
    Seeds::new(seed).stream("test").seed_torch(0);
    let _no_grad = tch::no_grad_guard();
    let log_prob = model.0.log_prob(&draw(TEST)?, None)?.f_to_kind(Kind::Double)?;
    let nll = -host::scalar(&log_prob.f_mean(Kind::Double)?)?;
    tracing::info!("  {by:?}: {seconds:.1} s of training, {nll:.4} nats");
    Ok(Fitted { model, factored, nll })
}

/// The true density and those learned, beside each other.
fn picture(out: &Path, fitted: &[(&str, &Fitted)]) -> Result<()> {
    const NODES: usize = 160;
    let extent = [-3.2, 3.2, -1.8, 5.2];
    let axis = |low: f64, high: f64| {
        (0..NODES).map(move |i| low + (i as f64 + 0.5) * (high - low) / NODES as f64)
    };
    let nodes = axis(extent[2], extent[3])
        .flat_map(|y| axis(extent[0], extent[1]).flat_map(move |x| [x as f32, y as f32]));
    let x = Tensor::f_from_slice(&nodes.collect::<Vec<f32>>())?.f_reshape([-1, 2])?;
    let (first, second) = (x.f_select(1, 0)?, x.f_select(1, 1)?);
    let bend = (second - first.f_square()? * 0.5) / STD;
    let truth = (first.f_square()? + bend.f_square()?) * -0.5;
    let truth = truth - std::f64::consts::TAU.ln() - STD.ln();
    let panel = |title: &str, log: &Tensor| -> Result<Panel> {
        let density = Heatmap { values: host::to_vec(&log.f_exp()?)?, columns: NODES };
        Ok(Panel { title: title.to_owned(), density: Some(density), points: None })
    };
    let mut panels = vec![panel("true density", &truth)?];
    let _no_grad = tch::no_grad_guard();
    for (title, fitted) in fitted {
        panels.push(panel(title, &fitted.model.0.log_prob(&x, None)?)?);
    }
    let labels = ["x".to_owned(), "y".to_owned()];
    let plane = Plane { title: "Banana".to_owned(), extent, labels, panels };
    let file = out.join("densities.svg");
    std::fs::write(&file, plane.svg()?).with_context(|| file.display().to_string())
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let likelihood = train(seed, By::Likelihood)?;
    let sliced = train(seed, By::Sliced)?;
    let denoising = train(seed, By::Denoising)?;
    let differences = train(seed, By::Differences)?;
    picture(
        out,
        &[
            ("likelihood", &likelihood),
            ("sliced", &sliced),
            ("denoising", &denoising),
            ("finite differences", &differences),
        ],
    )?;
    let factored = sliced.factored + denoising.factored + differences.factored;
    Ok(vec![
        Check::at_most("banana, likelihood: test NLL, nats", "at most 2.24", likelihood.nll, 2.24)
            .beside("entropy", ENTROPY),
        Check::at_most(
            "banana, sliced score matching: test NLL, nats",
            "at most 2.35",
            sliced.nll,
            2.35,
        )
        .beside("likelihood training", likelihood.nll),
        Check::at_most(
            "banana, denoising (0.1): test NLL, nats",
            "at most 2.40",
            denoising.nll,
            2.40,
        )
        .beside("likelihood training", likelihood.nll),
        Check::at_most(
            "banana, finite differences (0.1): test NLL, nats",
            "at most 2.40",
            differences.nll,
            2.40,
        )
        .beside("a normal of the true moments", GAUSSIAN),
        Check::at_most(
            "matrices factored in all steps of score matching",
            "none",
            factored as f64,
            0.0,
        )
        .beside("in those of likelihood", likelihood.factored as f64),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{ENTROPY, GAUSSIAN, STD, draw};
    use tch::Kind;

    #[test]
    fn reference_numbers() {
        let tau = std::f64::consts::TAU.ln();
        assert!((1.0 + tau + STD.ln() - ENTROPY).abs() < 1e-9);
        // Variances 1 and 2/4 + 1/4, no correlation.
        assert!((1.0 + tau + 0.5 * 0.75_f64.ln() - GAUSSIAN).abs() < 1e-9);
        let x = maxlik_tensor::with_seed(1, || draw(20_000)).unwrap().to_kind(Kind::Double);
        let rest = (x.select(1, 1) - x.select(1, 0).square() * 0.5) / STD;
        let off = rest.square().mean(Kind::Double).double_value(&[]) - 1.0;
        assert!(off.abs() < 5.0 * (2.0_f64 / 20_000.0).sqrt());
    }
}
