//! Auto-encoders as estimators of scores, and a sampler that needs nothing else.
//!
//! The score is what is left of the reconstruction once the input is taken off: with a noise of 0.1 a part in a hundred
//! of it. So what an optimiser leaves undone counts a hundredfold, and at a rate of 3e-3 for 4,000 steps both
//! losses were far from their optimum: over three seeds the smoothed score was off by 0.16, and the cosine of the
//! contractive one was 0.90. At 1e-2 and twice the steps they are as below. It is neither the objective nor the
//! direction of its penalty: the optimum of the contractive loss solves `(r − x) p = σ² div(p ∇r)`, and on a
//! grid of 401 × 401 nodes (finite volumes) its score has the mean cosine 0.99993 to the data's and is off by
//! 0.052 in relative norm; and with the exact norm of the Jacobian in place of one random direction the
//! cosine changes by less than the seeds do.

use super::fit::fit;
use super::{Check, System};
use anyhow::{Context, Result};
use maxlik_model::{Batch, Objective, Reconstruct, Score};
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_objectives::density::Target;
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::score::{
    ContractiveReconstruction, DenoisingReconstruction, Metropolis, ReconstructionScore,
};
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Panel, Plane, Scatter};
use maxlik_train::{OptimConfig, Schedule};
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Auto-encoders as score estimators.
pub(super) const SYSTEM: System = System {
    name: "dae-score",
    about: "regularised auto-encoders estimate the score (Alain and Bengio 2014, arXiv:1211.4246)",
    claim: "reconstruction minus input over the noise's variance is the score of the smoothed data for \
            a denoising auto-encoder and near that of the data for a contractive one, and a \
            Metropolis-Hastings chain samples by it; the paper shows figures only",
    run,
};

/// Variance of the mixture's components, their distance from the origin, and their weights.
const VARIANCE: f64 = 0.25;
const RADIUS: f64 = 1.5;
const WEIGHTS: [f64; 3] = [0.5, 0.3, 0.2];
const POINTS: i64 = 20_000;

/// Three normals at the corners of a triangle.
fn corners() -> [[f64; 2]; 3] {
    [0.0, 1.0, 2.0].map(|i: f64| {
        let angle = (0.25 + i / 3.0) * std::f64::consts::TAU;
        [RADIUS * angle.cos(), RADIUS * angle.sin()]
    })
}

fn mixture() -> Result<NormalMixture> {
    let means = Tensor::f_from_slice(corners().as_flattened())?.f_reshape([3, 2])?;
    Ok(NormalMixture::new(&means, &Tensor::f_from_slice(&WEIGHTS)?, VARIANCE)?)
}

#[derive(Debug)]
struct AutoEncoder(Mlp);

impl Reconstruct for AutoEncoder {
    fn reconstruct(&self, x: &Tensor, context: Option<&Tensor>) -> maxlik_tensor::Result<Tensor> {
        self.0.forward(x, context)
    }
}

/// Trains an auto-encoder 2-64-64-2, and returns its score.
fn train(
    seed: u64,
    sigma: f64,
    objective: &dyn Objective<dyn Reconstruct>,
) -> Result<ReconstructionScore<AutoEncoder>> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let config = MlpConfig { hidden: vec![64, 64], activation: Activation::Tanh, dropout: 0.0 };
    let model = AutoEncoder(Mlp::new(&params.root(), 2, 0, 2, &config)?);
    let optim = OptimConfig {
        steps: 8000,
        lr: 1e-2,
        ema: 0.99,
        schedule: Schedule::Cosine { warmup: 50, last: 0.0 },
        ..OptimConfig::default()
    };
    let data = mixture()?;
    fit(&params, &optim, seed, |_| {
        let batch = Batch::new(data.sample(512, FLOAT_CPU)?);
        Ok(objective.loss(&model as &dyn Reconstruct, &batch)?.value)
    })?;
    Ok(ReconstructionScore::new(model, sigma)?)
}

/// `(E‖s − t‖²/E‖t‖²)^½` over given points.
fn error(found: &Tensor, exact: &Tensor) -> Result<f64> {
    let off = host::scalar(&(found - exact).f_square()?.f_mean(Kind::Double)?)?;
    Ok((off / host::scalar(&exact.f_square()?.f_mean(Kind::Double)?)?).sqrt())
}

/// The score of the normal with the moments of these points.
fn normal_score(x: &Tensor) -> Result<Tensor> {
    let centred = x - x.f_mean_dim([0_i64].as_slice(), true, None::<Kind>)?;
    let covariance = centred.f_transpose(0, 1)?.f_matmul(&centred)? / x.size()[0] as f64;
    Ok(-centred.f_matmul(&covariance.f_inverse()?)?)
}

/// The mean cosine between scores.
fn cosine(found: &Tensor, exact: &Tensor) -> Result<f64> {
    let each = Tensor::f_cosine_similarity(found, exact, 1, 1e-8)?;
    Ok(host::scalar(&each.f_mean(Kind::Double)?)?)
}

/// Largest errors of a sample's moments and of the weights of its modes.
struct Sampled {
    mean: f64,
    covariance: f64,
    weights: f64,
    accepted: f64,
    last: Tensor,
}

/// Many chains of 20,000 steps from the lightest mode, in the smoothed density.
fn sample(score: &dyn Score, sigma: f64) -> Result<Sampled> {
    let (chains, steps, burn) = (50, 20_000, 2000);
    let start = Tensor::f_from_slice(&corners()[2])?
        .f_to_kind(Kind::Float)?
        .f_expand([chains, 2], false)?;
    let run = Metropolis::new(0.8, 3)?.run(score, &start, steps)?;
    let kept = run.states.f_narrow(0, burn, steps as i64 - burn)?;
    let x = kept.f_reshape([-1, 2])?.f_to_kind(Kind::Double)?;
    let mean = x.f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?;
    let centred = &x - &mean;
    let covariance = centred.f_transpose(0, 1)?.f_matmul(&centred)? / x.size()[0] as f64;
    let corners = Tensor::f_from_slice(corners().as_flattened())?.f_reshape([3, 2])?;
    let weights = Tensor::f_from_slice(&WEIGHTS)?;
    let exact_mean = weights.f_unsqueeze(0)?.f_matmul(&corners)?.f_squeeze_dim(0)?;
    let off = &corners - &exact_mean;
    let between = off.f_transpose(0, 1)?.f_matmul(&(&off * weights.f_unsqueeze(1)?))?;
    let unit = Tensor::f_eye(2, (Kind::Double, Device::Cpu))?;
    let exact = between + unit * (VARIANCE + sigma * sigma);
    let distance = Tensor::f_cdist(&x, &corners, 2.0, None::<i64>)?;
    let nearest = distance.f_argmin(1, false)?.f_one_hot(3)?.f_to_kind(Kind::Double)?;
    let shares = nearest.f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?;
    let most = |t: &Tensor| -> Result<f64> { Ok(host::scalar(&t.f_abs()?.f_max()?)?) };
    Ok(Sampled {
        mean: most(&(mean - exact_mean))?,
        // Relative to the scale of the entry's coordinates, so that small products count too.
        covariance: most(&((covariance - &exact) / most(&exact)?))?,
        weights: most(&(shares - weights))?,
        accepted: run.accepted,
        last: run.states.f_slice(0, burn, None, 300)?.f_reshape([-1, 2])?,
    })
}

fn picture(out: &Path, data: &Tensor, samples: &Tensor) -> Result<()> {
    let points = |title: &str, x: &Tensor| -> Result<Panel> {
        let values = host::to_vec(&x.f_narrow(0, 0, x.size()[0].min(3000))?)?;
        let rows = values.chunks_exact(2).map(|row| [row[0], row[1]]).collect();
        Ok(Panel { title: title.to_owned(), density: None, points: Some(Scatter::new(rows)) })
    };
    let plane = Plane {
        title: "Data and chains".to_owned(),
        extent: [-3.5, 3.5, -3.5, 3.5],
        labels: ["x".to_owned(), "y".to_owned()],
        panels: vec![
            points("smoothed data", data)?,
            points("chains by the auto-encoder", samples)?,
        ],
    };
    let file = out.join("samples.svg");
    std::fs::write(&file, plane.svg()?).with_context(|| file.display().to_string())
}

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let (sigma, wide, narrow) = (0.3, 0.6, 0.1);
    let denoising = train(seed, sigma, &DenoisingReconstruction::new(sigma)?)?;
    let blurred = train(seed, wide, &DenoisingReconstruction::new(wide)?)?;
    let contractive = train(seed, narrow, &ContractiveReconstruction::new(narrow)?)?;
    let _no_grad = tch::no_grad_guard();
    Seeds::new(seed).stream("test").seed_torch(0);
    let truth = mixture()?;
    let smooth = truth.smoothed(sigma * sigma)?;
    let (x, noisy) = (truth.sample(POINTS, FLOAT_CPU)?, smooth.sample(POINTS, FLOAT_CPU)?);
    let exact = smooth.score(&noisy, None)?;
    let fit = error(&denoising.score(&noisy, None)?, &exact)?;
    let baseline = error(&normal_score(&noisy)?, &exact)?;
    let plain = truth.score(&x, None)?;
    let bias = |score: &dyn Score| error(&score.score(&x, None)?, &plain);
    let (fine, coarse) = (bias(&denoising)?, bias(&blurred)?);
    let sampled = sample(&denoising, sigma)?;
    picture(out, &noisy, &sampled.last)?;
    let found = contractive.score(&x, None)?;
    Ok(vec![
        Check::at_most(
            "denoising, relative error of the smoothed score",
            "at most 0.15",
            fit,
            0.15,
        )
        .beside("score of one normal", baseline),
        Check::at_least(
            "error against the score of the data: noise 0.6 over noise 0.3",
            "more than 1",
            coarse / fine,
            1.0,
        )
        .beside("error at noise 0.3", fine),
        Check::at_most("chains, largest error of the mean", "at most 0.1", sampled.mean, 0.1)
            .beside("part of proposals accepted", sampled.accepted),
        Check::at_most(
            "chains, largest error of the covariance, relative to its largest entry",
            "at most 0.15",
            sampled.covariance,
            0.15,
        ),
        Check::at_most(
            "chains, largest error of a mode's weight",
            "at most 0.08",
            sampled.weights,
            0.08,
        ),
        Check::at_least(
            "contractive (0.1), mean cosine to the score of the data",
            "at least 0.95",
            cosine(&found, &plain)?,
            0.95,
        )
        .beside("of one normal", cosine(&normal_score(&x)?, &plain)?),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{RADIUS, VARIANCE, WEIGHTS, cosine, error, mixture, normal_score};
    use maxlik_model::Score;
    use maxlik_objectives::density::Target;
    use tch::{Kind, kind::DOUBLE_CPU};

    #[test]
    fn data_and_measures() {
        let target = mixture().unwrap();
        let x = maxlik_tensor::with_seed(1, || target.sample(20_000, DOUBLE_CPU)).unwrap();
        // E|x|² is that of the corners and of the components.
        let square = x.square().sum(Kind::Double).double_value(&[]) / 20_000.0;
        assert!((square - RADIUS * RADIUS - 2.0 * VARIANCE).abs() < 0.1);
        assert!((WEIGHTS.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let score = target.score(&x, None).unwrap();
        assert!(error(&score, &score).unwrap() < 1e-12);
        assert!((error(&(&score * 1.5), &score).unwrap() - 0.5).abs() < 1e-9);
        assert!((cosine(&(&score * 1.5), &score).unwrap() - 1.0).abs() < 1e-6);
        // Stein's identity of the normal score: E[s xᵀ] is minus the unit matrix.
        let stein = normal_score(&x).unwrap().transpose(0, 1).matmul(&x) / 20_000.0;
        assert!((stein + tch::Tensor::eye(2, DOUBLE_CPU)).abs().max().double_value(&[]) < 1e-2);
    }
}
