//! Isotropic data and one latent dimension: likelihood on the manifold has no minimum.

use super::sine::{config, points};
use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::{Context, Result};
use maxlik_flows::Injective;
use maxlik_model::{Batch, Density, InjectiveDensity, Objective};
use maxlik_nn::Params;
use maxlik_objectives::density::{FreeForm, Volume};
use maxlik_tensor::{Seeds, host};
use maxlik_train::OptimConfig;
use maxlik_train::plot::{LineChart, Plane, Series, Stroke};
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

const STEPS: u64 = 1500;
const EVERY: u64 = 50;

struct Fitted {
    model: Injective,
    /// Step, and negative log-likelihood of the projections with respect to length, in nats.
    curve: Vec<(f64, f64)>,
}

fn train(seed: u64, volume: Volume) -> Result<Fitted> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let model = config().build(&params.root(), 2, None)?;
    let optim = OptimConfig { steps: STEPS, lr: 1e-3, clip: 5.0, ..OptimConfig::default() };
    let objective = FreeForm { beta: 1.0, volume, ..FreeForm::default() };
    let mut curve = Vec::new();
    fit(&params, &optim, seed, |step| {
        let data = Tensor::f_randn([256, 2], FLOAT_CPU)?;
        if step % EVERY == 0 {
            let log_prob = model.log_prob(&data, None)?.f_detach()?;
            curve.push((step as f64, -host::scalar(&log_prob.f_mean(Kind::Double)?)?));
        }
        Ok(objective.loss(&model as &dyn InjectiveDensity, &Batch::new(data))?.value)
    })?;
    Ok(Fitted { model, curve })
}

/// The mean of the curve over a part of training.
fn level(curve: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let inside = curve.iter().filter(|(step, _)| {
        let part = step / STEPS as f64;
        (from..to).contains(&part)
    });
    let values: Vec<f64> = inside.map(|(_, value)| *value).collect();
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let naive = train(seed, Volume::OnManifold)?;
    let free = train(seed, Volume::OffManifold)?;
    let line = |name: &str, fitted: &Fitted| Series {
        name: name.to_owned(),
        points: fitted.curve.clone(),
        stroke: Stroke::Line,
    };
    let chart = LineChart::new("Isotropic data, one latent dimension", "step", "NLL (nats)")
        .series(line("on the manifold (naive)", &naive))
        .series(line("off the manifold", &free));
    let file = out.join("divergence.svg");
    std::fs::write(&file, chart.svg()).with_context(|| file.display().to_string())?;
    Seeds::new(seed).stream("sampler").seed_torch(0);
    let panels = vec![
        points("data", &Tensor::f_randn([2000, 2], FLOAT_CPU)?)?,
        points("manifold, naive", &naive.model.sample(2000, None)?)?,
        points("manifold, off it", &free.model.sample(2000, None)?)?,
    ];
    let labels = ["x".to_owned(), "y".to_owned()];
    let plane =
        Plane { title: "Manifolds".to_owned(), extent: [-4.0, 4.0, -4.0, 4.0], labels, panels };
    let file = out.join("manifolds.svg");
    std::fs::write(&file, plane.svg()?).with_context(|| file.display().to_string())?;
    let end = |fitted: &Fitted| level(&fitted.curve, 0.8, 1.01);
    Ok(vec![
        Check::at_most(
            "isotropic data, NLL of the naive loss at the end, nats",
            "below that off the manifold",
            end(&naive),
            end(&free),
        )
        .beside("off the manifold", end(&free)),
    ])
}
