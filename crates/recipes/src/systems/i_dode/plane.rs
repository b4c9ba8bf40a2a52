//! Eight normals in the plane, where the best velocity is known: what second-order fine-tuning changes.
//!
//! On data the residual of a step holds one draw of `‖F* − F‖²`, whose noise no network can lower. Here
//! its mean given the state is known: with the best velocity `F°`, the residual's is
//! `σ (div F − div F°) + α ‖F° − F‖²`.

use crate::systems::Check;
use crate::systems::field::TimeMlp;
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_model::{Batch, Density, Energy, Objective, Score, VectorField};
use maxlik_nn::{Activation, MlpConfig, Params};
use maxlik_objectives::density::Target;
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::diffusion::{SecondOrder, Times, VelocityMatching};
use maxlik_ode::diffusion::{GammaOde, Levels, NoisePath};
use maxlik_ode::trace::{Noise, basis, probe_divergence};
use maxlik_ode::{Adaptive, Batching, Cnf, Gaussian, Solver, tableau};
use maxlik_tensor::{Seeds, host};
use maxlik_train::{OptimConfig, Schedule};
use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

const PATH: NoisePath = NoisePath::VariancePreserving;
const G0: f64 = -6.0;
const G1: f64 = 7.0;
const RADIUS: f64 = 1.3;
const STD: f64 = 0.2;
/// Weight of the second-order term.
const STRENGTH: f64 = 0.3;
/// Noise levels at which residuals are measured.
const NODES: i64 = 32;

/// Sizes of the experiment.
#[derive(Debug, Clone, Copy)]
struct Budget {
    first: Plan,
    tuning: Plan,
    /// Points of each measurement.
    rows: i64,
}

/// How long, and on how many rows, a network is trained.
#[derive(Debug, Clone, Copy)]
struct Plan {
    steps: u64,
    lr: f64,
    batch: i64,
}

const FULL: Budget = Budget {
    first: Plan { steps: 4000, lr: 2e-3, batch: 256 },
    // What is left to learn is small beside the noise of one draw: four times the rows, and a greater rate.
    tuning: Plan { steps: 500, lr: 6e-3, batch: 1024 },
    rows: 2000,
};

/// The law of `α x + σ ε` for eight normals on a ring.
fn law(alpha: f64, sigma: f64) -> Result<NormalMixture> {
    let angle = Tensor::f_arange(8, FLOAT_CPU)? * (TAU / 8.0);
    let means = Tensor::f_stack(&[angle.f_cos()?, angle.f_sin()?], 1)? * (alpha * RADIUS);
    let weights = Tensor::f_ones([8], FLOAT_CPU)?;
    Ok(NormalMixture::new(&means, &weights, (alpha * STD).powi(2) + sigma * sigma)?)
}

fn levels(gamma: f64) -> Result<[f64; 2]> {
    let Levels { alpha, sigma } = PATH.levels(&Tensor::from(gamma))?;
    Ok([host::scalar(&alpha)?, host::scalar(&sigma)?])
}

/// A perceptron on the point and `γ`, both of about unit size.
#[derive(Debug)]
struct Net(TimeMlp);

impl Net {
    fn new(params: &Params) -> Result<Self> {
        let config = MlpConfig { hidden: vec![64; 3], activation: Activation::Silu, dropout: 0.0 };
        Ok(Self(TimeMlp::new(&params.root(), 2, &config)?))
    }
}

impl VectorField for Net {
    fn velocity(
        &self,
        gamma: &Tensor,
        z: &Tensor,
        context: Option<&Tensor>,
    ) -> maxlik_tensor::Result<Tensor> {
        self.0.velocity(&(gamma / 3.5), z, context)
    }
}

#[derive(Debug)]
struct Trained {
    params: Params,
    net: Net,
}

fn train(
    seed: u64,
    from: Option<&Params>,
    objective: &dyn Objective<dyn VectorField>,
    Plan { steps, lr, batch }: Plan,
) -> Result<Trained> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let net = Net::new(&params)?;
    if let Some(from) = from {
        params.load(&from.named())?;
    }
    let data = law(1.0, 0.0)?;
    let optim = OptimConfig {
        steps,
        lr,
        clip: 10.0,
        ema: 0.99,
        schedule: Schedule::Cosine { warmup: 20, last: 0.01 },
        ..OptimConfig::default()
    };
    fit(&params, &optim, seed, |_| {
        let batch = Batch::new(data.sample(batch, FLOAT_CPU)?);
        Ok(objective.loss(&net as &dyn VectorField, &batch)?.value)
    })?;
    Ok(Trained { params, net })
}

/// Mean squares of residuals at noise levels drawn by importance.
#[derive(Debug, Clone, Copy)]
struct Residuals {
    /// With the mean of `‖F* − F‖²` given the state.
    known: f64,
    /// As in the loss, with one draw of it and one probe.
    drawn: f64,
}

impl Residuals {
    fn of(net: &Net, seed: u64, rows: i64) -> Result<Self> {
        Seeds::new(seed).stream("plane").seed_torch(0);
        let objective = SecondOrder { first: matching(), strength: STRENGTH };
        let nodes = objective.first.gamma(0.5, NODES)?;
        let (mut known, mut drawn) = (0.0, 0.0);
        for node in nodes {
            let [alpha, sigma] = levels(node)?;
            let noised = law(alpha, sigma)?;
            let x = law(1.0, 0.0)?.sample(rows, FLOAT_CPU)?;
            let noise = x.f_randn_like()?;
            let z = &x * alpha + &noise * sigma;
            let gamma = Tensor::f_full([rows], node, FLOAT_CPU)?;
            let _no_grad = tch::no_grad_guard();
            let own = probe_divergence(&|z| net.velocity(&gamma, z, None), &z, &basis(&z)?, false)?;
            // ε̂ = −σ s, and F° = (ε̂ − σ z)/α.
            let best = |z: &Tensor| Ok((noised.score(z, None)? + z) * (-sigma / alpha));
            let best = probe_divergence(&best, &z, &basis(&z)?, false)?;
            let gap = (own.velocity - best.velocity).f_square()?;
            let gap = gap.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
            let residual = (own.divergence - best.divergence) * sigma + gap * alpha;
            known += host::scalar(&residual.f_square()?.f_mean(Kind::Double)?)?;
            let probe = Noise::Rademacher.draw(&[1, rows, 2], &z)?;
            let parts = objective.loss_at(net, &Batch::new(x), &gamma, &noise, &probe)?;
            drawn += host::scalar(&parts.residual.f_square()?.f_mean(Kind::Double)?)?;
        }
        Ok(Self { known: known / NODES as f64, drawn: drawn / NODES as f64 })
    }
}

fn matching() -> VelocityMatching {
    VelocityMatching { path: PATH, g0: G0, g1: G1, times: Times::Importance }
}

/// Kullback–Leibler divergence in nats from the noised data to the ODE's density, on fresh points.
fn divergence(net: Net, seed: u64, rows: i64) -> Result<f64> {
    let _no_grad = tch::no_grad_guard();
    let [alpha, sigma] = levels(G0)?;
    let truth = law(alpha, sigma)?;
    Seeds::new(seed).stream("plane").seed_torch(1);
    let z = truth.sample(rows, FLOAT_CPU)?;
    let base = Gaussian::new(&[2], levels(G1)?[1], Kind::Float, Device::Cpu)?;
    let control = Adaptive { batching: Batching::Joint, ..Adaptive::new(1e-5, 1e-5) };
    let solver = Solver::adaptive(tableau::DOPRI5, control)?;
    let flow = Cnf::new(GammaOde { path: PATH, network: net }, base, solver).times(G1, G0);
    let ratio = truth.energy(&z, None)? + flow.log_prob(&z, None)?;
    Ok(-host::scalar(&ratio.f_mean(Kind::Double)?)?)
}

pub(super) fn checks(seed: u64) -> Result<Vec<Check>> {
    run(seed, FULL)
}

fn run(seed: u64, budget: Budget) -> Result<Vec<Check>> {
    let plain = matching();
    let tuned = SecondOrder { first: plain, strength: STRENGTH };
    let first = train(seed, None, &plain, budget.first)?;
    let tuning = budget.tuning;
    let longer = train(seed + 1, Some(&first.params), &plain, tuning)?;
    let second = train(seed + 1, Some(&first.params), &tuned, tuning)?;
    let before = Residuals::of(&first.net, seed, budget.rows)?;
    let without = Residuals::of(&longer.net, seed, budget.rows)?;
    let after = Residuals::of(&second.net, seed, budget.rows)?;
    tracing::info!("  residuals: {before:?}, without second order {without:?}, with it {after:?}");
    let rows = 2 * budget.rows;
    let before_kl = divergence(first.net, seed, rows)?;
    let without_kl = divergence(longer.net, seed, rows)?;
    let after_kl = divergence(second.net, seed, rows)?;
    tracing::info!("  divergences: {before_kl}, {without_kl}, {after_kl}");
    Ok(vec![
        Check::at_most(
            "eight normals: squared second-order residual given the state, after / before fine-tuning",
            "at most 0.8",
            after.known / before.known,
            0.8,
        )
        .beside("as many steps without the second order / before", without.known / before.known),
        Check::at_most(
            "eight normals: that residual over the drawn one's, before fine-tuning",
            "at most 0.2 (the rest is noise)",
            before.known / before.drawn,
            0.2,
        )
        .beside("drawn, after / before", after.drawn / before.drawn),
        Check::at_most(
            "eight normals: divergence of the ODE's density from the data's, after / before",
            "at most 1",
            after_kl / before_kl,
            1.0,
        )
        .beside("before, nats", before_kl),
        Check::at_most(
            "the same, fine-tuned with the second order / without it",
            "at most 1",
            after_kl / without_kl,
            1.0,
        ),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Budget, Plan, run};

    #[test]
    fn a_few_steps_give_all_numbers() {
        let plan = |steps| Plan { steps, lr: 1e-3, batch: 16 };
        let budget = Budget { first: plan(3), tuning: plan(2), rows: 50 };
        let checks = run(1, budget).unwrap();
        assert!(checks.iter().all(|check| check.result.is_finite()), "{checks:?}");
    }
}
