//! A density along a sine.

use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::{Context, Result};
use maxlik_flows::{Injective, InjectiveConfig, NetworkConfig};
use maxlik_model::{Batch, Density, InjectiveDensity, Objective};
use maxlik_nn::{Activation, MlpConfig, Params};
use maxlik_objectives::density::FreeForm;
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Panel, Plane, Scatter};
use maxlik_train::{OptimConfig, Schedule};
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Entropy with respect to arc length, in nats.
const ENTROPY: f64 = 1.965_286_054_8;
/// Standard deviation of `sin(πx/2)` for a standard normal `x`.
const SINE_STD: f64 = 0.704_56;
const NOISE: f64 = 0.02;
const BETA: f64 = 10.0;

/// `(x, sin(πx/2)/sd)` with a standard normal `x`.
fn draw(rows: i64) -> Result<Tensor> {
    let x = Tensor::f_randn([rows, 1], FLOAT_CPU)?;
    let sine = (&x * std::f64::consts::FRAC_PI_2).f_sin()? / SINE_STD;
    Ok(Tensor::f_cat(&[x, sine], 1)?)
}

/// Networks of the shape that is used for plane data here.
pub(super) fn config() -> InjectiveConfig {
    let mlp = MlpConfig { hidden: vec![64, 64, 64], activation: Activation::Silu, dropout: 0.0 };
    let network = NetworkConfig::Mlp(mlp);
    InjectiveConfig { latent: 1, encoder: network.clone(), decoder: network, ..Default::default() }
}

struct Fitted {
    model: Injective,
    /// Root mean squared distance to the manifold, and negative log-likelihood on it.
    rmse: f64,
    nll: f64,
}

/// Trains by the free-form objective, or by reconstruction alone.
fn train(seed: u64, density: bool, test: &Tensor) -> Result<Fitted> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let model = config().build(&params.root(), 2, None)?;
    let optim = OptimConfig {
        steps: 5000,
        lr: 2e-3,
        clip: 5.0,
        ema: 0.99,
        schedule: Schedule::Cosine { warmup: 50, last: 0.0 },
        ..OptimConfig::default()
    };
    let objective = FreeForm { beta: BETA, noise: NOISE, ..FreeForm::default() };
    fit(&params, &optim, seed, |_| {
        let data = draw(256)?;
        if density {
            return Ok(objective.loss(&model as &dyn InjectiveDensity, &Batch::new(data))?.value);
        }
        let noisy = &data + data.f_randn_like()? * NOISE;
        let off = model.reconstruct(&noisy, None)? - &noisy;
        Ok(off.f_square()?.f_mean(Kind::Float)? * BETA)
    })?;
    let off = (model.reconstruct(test, None)? - test).f_square()?.f_sum(Kind::Double)?;
    let rmse = (host::scalar(&off)? / test.size()[0] as f64).sqrt();
    let log_prob = model.log_prob(test, None)?.f_to_kind(Kind::Double)?;
    let nll = -host::scalar(&log_prob.f_mean(Kind::Double)?)?;
    Ok(Fitted { model, rmse, nll })
}

/// Root mean squared distance to the first principal axis.
fn principal(test: &Tensor) -> Result<f64> {
    let centred = test - test.f_mean_dim([0_i64].as_slice(), true, None::<Kind>)?;
    let covariance = centred.f_transpose(0, 1)?.f_matmul(&centred)? / test.size()[0] as f64;
    let (values, _) = covariance.f_linalg_eigh("L")?;
    Ok(host::scalar(&values.f_select(0, 0)?)?.sqrt())
}

pub(super) fn points(title: &str, x: &Tensor) -> Result<Panel> {
    let values = host::to_vec(x)?;
    let rows = values.chunks_exact(2).map(|row| [row[0], row[1]]).collect();
    Ok(Panel { title: title.to_owned(), density: None, points: Some(Scatter::new(rows)) })
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    Seeds::new(seed).stream("test").seed_torch(0);
    let test = draw(5000)?;
    let free = train(seed, true, &test)?;
    let encoder = train(seed, false, &test)?;
    Seeds::new(seed).stream("sampler").seed_torch(0);
    let panels = vec![
        points("data", &test.f_narrow(0, 0, 2000)?)?,
        points("samples", &free.model.sample(2000, None)?)?,
        points("samples of the auto-encoder", &encoder.model.sample(2000, None)?)?,
    ];
    let labels = ["x".to_owned(), "y".to_owned()];
    let plane = Plane { title: "Sine".to_owned(), extent: [-4.0, 4.0, -2.5, 2.5], labels, panels };
    let file = out.join("sine.svg");
    std::fs::write(&file, plane.svg()?).with_context(|| file.display().to_string())?;
    Ok(vec![
        Check::at_most("sine, distance to the manifold, RMS", "at most 0.05", free.rmse, 0.05)
            .beside("to the first principal axis", principal(&test)?),
        Check::at_most(
            "sine, NLL on the manifold, off the entropy by, nats",
            "at most 0.15",
            (free.nll - ENTROPY).abs(),
            0.15,
        )
        .beside("of an auto-encoder with the same networks", (encoder.nll - ENTROPY).abs()),
    ])
}
