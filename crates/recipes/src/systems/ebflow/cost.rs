//! Fully connected flows of growing dimension: what a step costs.

use crate::systems::Check;
use anyhow::Result;
use maxlik_flows::{BaseConfig, Flow, FlowConfig, LayerConfig, UnivariateConfig};
use maxlik_model::{Batch, Density, Energy, Loss, Objective, Score};
use maxlik_nn::Params;
use maxlik_objectives::density::MaximumLikelihood;
use maxlik_objectives::score::{DenoisingScoreMatching, FiniteDifferenceScoreMatching, ScoreOf};
use maxlik_tensor::Seeds;
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_train::plot::{LineChart, Series, Stroke};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

const BATCH: i64 = 64;

/// Rounds, in each of which all dimensions take turns: what slows the machine down meets all of them.
const ROUNDS: usize = 12;
/// Likelihood's steps in 3072 dimensions are long: it takes part in every fourth round.
const SELDOM: usize = 4;

/// Seconds of a step, the fastest of all rounds.
#[derive(Debug, Clone, Copy)]
struct Times {
    likelihood: f64,
    denoising: f64,
    differences: f64,
}

/// Two dense layers with a smooth leaky rectifier between them, and their data.
#[derive(Debug)]
struct Subject {
    dims: i64,
    model: ScoreOf<Flow>,
    leaves: Vec<Tensor>,
    batch: Batch,
    best: Times,
}

impl Subject {
    fn new(seed: u64, dims: i64) -> Result<Self> {
        let params = Params::new(seed, Kind::Float, Device::Cpu);
        let rectifier = LayerConfig::Elementwise {
            map: UnivariateConfig::SmoothLeakyRelu { slope: 0.3 },
            network: None,
        };
        let config = FlowConfig {
            layers: vec![LayerConfig::Dense {}, rectifier, LayerConfig::Dense {}],
            base: BaseConfig::Normal {},
        };
        let model = ScoreOf(config.build(&params.root(), dims, None, Vec::new())?);
        let leaves = params.trainable().into_iter().map(|(_, tensor)| tensor).collect();
        Seeds::new(seed).stream("speed").seed_torch(0);
        let batch = Batch::new(Tensor::f_randn([BATCH, dims], FLOAT_CPU)?);
        let never = f64::INFINITY;
        let best = Times { likelihood: never, denoising: never, differences: never };
        Ok(Self { dims, model, leaves, batch, best })
    }

    /// Loss and gradient of each kind, `repeats` times.
    fn round(&mut self, repeats: usize, likelihood: bool) -> Result<()> {
        let (model, batch) = (&self.model, &self.batch);
        let leaves: Vec<&Tensor> = self.leaves.iter().collect();
        let timed =
            |loss: &dyn Fn() -> maxlik_tensor::Result<Loss>, best: &mut f64| -> Result<()> {
                let start = Instant::now();
                let _gradients = grad(&[&loss()?.value], &[None], &leaves, Graph::Free)?;
                *best = best.min(start.elapsed().as_secs_f64());
                Ok(())
            };
        let (denoising, differences) =
            (DenoisingScoreMatching::new(0.1)?, FiniteDifferenceScoreMatching::new(0.1)?);
        for _ in 0..repeats {
            let score = || denoising.loss(model as &dyn Score, batch);
            timed(&score, &mut self.best.denoising)?;
            let energy = || differences.loss(model as &dyn Energy, batch);
            timed(&energy, &mut self.best.differences)?;
            if likelihood {
                let density = || MaximumLikelihood.loss(&model.0 as &dyn Density, batch);
                timed(&density, &mut self.best.likelihood)?;
            }
        }
        Ok(())
    }
}

/// Step times over the dimension, both as logarithms: slopes are powers.
fn chart(measured: &[(i64, Times)], out: &Path) -> Result<()> {
    let mut chart = LineChart::new(
        "Step time, two dense layers, batch 64",
        "log₁₀ of the dimension",
        "log₁₀ of the milliseconds",
    );
    let kinds = ["likelihood", "denoising", "finite differences"];
    for (which, name) in kinds.into_iter().enumerate() {
        let point = |(dims, t): &(i64, Times)| {
            let time = [t.likelihood, t.denoising, t.differences][which];
            ((*dims as f64).log10(), (1e3 * time).log10())
        };
        let points = measured.iter().map(point).collect();
        chart = chart.series(Series { name: name.to_owned(), points, stroke: Stroke::Line });
    }
    Ok(std::fs::write(out.join("step-times.svg"), chart.svg())?)
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    // Dimensions, with repetitions in a round.
    let plan = [(196, 10), (784, 3), (1568, 1), (3072, 1)];
    let mut subjects =
        plan.iter().map(|&(dims, _)| Subject::new(seed, dims)).collect::<Result<Vec<_>>>()?;
    for round in 0..ROUNDS {
        for (subject, (_, repeats)) in subjects.iter_mut().zip(plan) {
            subject.round(repeats, round % SELDOM == 0)?;
        }
    }
    let measured: Vec<(i64, Times)> =
        subjects.iter().map(|subject| (subject.dims, subject.best)).collect();
    for (dims, best) in &measured {
        tracing::info!("  D = {dims}: {best:.4?} s a step");
    }
    chart(&measured, out)?;
    let [(_, small), (_, middle), _, (_, large)] = measured[..] else { return Ok(Vec::new()) };
    let ratio = |t: Times| t.likelihood / t.denoising;
    // The power of the dimension by which a time grows from 784 to 3072.
    let power = |a: f64, b: f64| (b / a).ln() / (3072.0_f64 / 784.0).ln();
    Ok(vec![
        Check::at_least(
            "step time at D = 784, batch 64: likelihood / denoising",
            "at least 1.5",
            ratio(middle),
            1.5,
        )
        .beside("at D = 196", ratio(small)),
        Check::at_least(
            "the same ratio at 784 over that at 196",
            "more than 1",
            ratio(middle) / ratio(small),
            1.0,
        ),
        Check::at_least(
            "step time at D = 3072: likelihood / denoising",
            "more than at D = 784",
            ratio(large),
            ratio(middle),
        )
        .beside("likelihood / finite differences", large.likelihood / large.differences),
        Check::at_most(
            "step time of denoising from D = 784 to 3072 grows with the power",
            "at most 2.4",
            power(middle.denoising, large.denoising),
            2.4,
        )
        .beside("likelihood's", power(middle.likelihood, large.likelihood)),
    ])
}
