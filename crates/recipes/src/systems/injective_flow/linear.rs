//! Two dimensions, one of them kept, by linear maps: what theory says exactly.
//!
//! With a decoder tied to the encoder as its pseudo-inverse, the exact likelihood of the direction
//! with variance `λ` is `½ ln λ − βλ` plus a constant: both axes are minima where
//! `½/λ₁ < β < ½/λ₂`, and the axis of noise is the better one for `β < β* = ½ ln(λ₁/λ₂)/(λ₁ − λ₂)`. With a
//! decoder of its own, the surrogate turns to the axis of the data for every `β`.

use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_flows::Injective;
use maxlik_flows::base::DiagonalNormal;
use maxlik_model::{Batch, InjectiveDensity, Objective};
use maxlik_nn::{Network, Params};
use maxlik_objectives::density::{FreeForm, Volume};
use maxlik_tensor::host;
use maxlik_train::{OptimConfig, Schedule};
use tch::{Device, Kind, Tensor};

/// Variances along the axes.
const MAJOR: f64 = 1.0;
const MINOR: f64 = 0.01;

/// `x Mᵀ`.
#[derive(Debug)]
struct Matrix(Tensor);

impl Network for Matrix {
    fn forward(&self, x: &Tensor, _context: Option<&Tensor>) -> maxlik_tensor::Result<Tensor> {
        Ok(x.f_matmul(&self.0.f_transpose(0, 1)?)?)
    }
}

/// `z w⁺ᵀ` for a row `w`.
#[derive(Debug)]
struct Tied(Tensor);

impl Network for Tied {
    fn forward(&self, z: &Tensor, _context: Option<&Tensor>) -> maxlik_tensor::Result<Tensor> {
        Ok(z.f_matmul(&self.0)?.f_div(&self.0.f_square()?.f_sum(None::<Kind>)?)?)
    }
}

/// Four points whose covariance is exactly that of the data.
fn data() -> Result<Tensor> {
    let (a, b) = ((2.0 * MAJOR).sqrt(), (2.0 * MINOR).sqrt());
    Ok(Tensor::f_from_slice(&[a, 0.0, -a, 0.0, 0.0, b, 0.0, -b])?.f_reshape([4, 2])?)
}

/// A linear model with its store.
struct Linear {
    params: Params,
    encoder: Tensor,
    decoder: Tensor,
    model: Injective,
}

/// An encoder this far off the major axis; a decoder at its least-squares optimum, or tied.
fn build(degrees: f64, tied: bool) -> Result<Linear> {
    let params = Params::new(0, Kind::Double, Device::Cpu);
    let root = params.root();
    let angle = degrees.to_radians();
    let (c, s) = (angle.cos(), angle.sin());
    let encoder = root.param_from("encoder", &Tensor::f_from_slice(&[c, s])?.f_reshape([1, 2])?)?;
    let q = c * c * MAJOR + s * s * MINOR;
    let start = Tensor::f_from_slice(&[c * MAJOR / q, s * MINOR / q])?.f_reshape([2, 1])?;
    let base = Box::new(DiagonalNormal::standard(&root, &[1]));
    let first = Box::new(Matrix(encoder.shallow_clone()));
    let (decoder, second): (Tensor, Box<dyn Network>) = if tied {
        (encoder.f_transpose(0, 1)?, Box::new(Tied(encoder.shallow_clone())))
    } else {
        let decoder = root.param_from("decoder", &start)?;
        (decoder.shallow_clone(), Box::new(Matrix(decoder)))
    };
    let model = Injective::new(2, None, first, second, base)?;
    Ok(Linear { params, encoder, decoder, model })
}

fn objective(beta: f64, tied: bool) -> FreeForm {
    let volume = if tied { Volume::OnManifold } else { Volume::OffManifold };
    FreeForm { beta, probes: 1, noise: 0.0, volume }
}

/// Where training ends.
struct End {
    /// Cosine of the decoder's direction with the major axis, without sign.
    cosine: f64,
    /// Variance of the latent.
    variance: f64,
}

fn train(degrees: f64, beta: f64, tied: bool) -> Result<End> {
    let linear = build(degrees, tied)?;
    let objective = objective(beta, tied);
    let optim = OptimConfig {
        steps: 2500,
        lr: 1e-2,
        schedule: Schedule::Cosine { warmup: 0, last: 0.01 },
        ..OptimConfig::default()
    };
    fit(&linear.params, &optim, 0, |_| {
        let batch = Batch::new(data()?);
        Ok(objective.loss(&linear.model as &dyn InjectiveDensity, &batch)?.value)
    })?;
    let decoder = host::to_vec(&linear.decoder)?;
    let w = host::to_vec(&linear.encoder)?;
    Ok(End {
        cosine: decoder[0].abs() / decoder[0].hypot(decoder[1]),
        variance: w[0] * w[0] * MAJOR + w[1] * w[1] * MINOR,
    })
}

/// The least loss along an axis: the tied model with the latent's variance at one.
fn least(beta: f64, major: bool) -> Result<f64> {
    let linear = build(if major { 0.0 } else { 90.0 }, true)?;
    let scale = if major { MAJOR } else { MINOR }.sqrt();
    {
        let _no_grad = tch::no_grad_guard();
        let value = linear.encoder.f_div_scalar(scale)?;
        linear.encoder.shallow_clone().f_copy_(&value)?;
    }
    let loss =
        objective(beta, true).loss(&linear.model as &dyn InjectiveDensity, &Batch::new(data()?))?;
    Ok(host::scalar(&loss.value)?)
}

pub(super) fn checks() -> Result<Vec<Check>> {
    let critical = 0.5 * (MAJOR / MINOR).ln() / (MAJOR - MINOR);
    let mut off = 0.0_f64;
    for beta in [1.0, critical, 10.0] {
        let exact = 0.5 * (MINOR / MAJOR).ln() + beta * (MAJOR - MINOR);
        off = off.max((least(beta, false)? - least(beta, true)? - exact).abs());
    }
    let strong = train(45.0, 10.0, true)?.cosine;
    let weak = train(80.0, 1.0, true)?.cosine;
    let (mut cosine, mut variance) = (1.0_f64, 0.0_f64);
    for (degrees, beta) in [(45.0, 1.0), (45.0, 10.0), (80.0, 1.0), (80.0, 10.0)] {
        let end = train(degrees, beta, false)?;
        cosine = cosine.min(end.cosine);
        variance = variance.max((end.variance - 1.0).abs());
    }
    Ok(vec![
        Check::at_most(
            "linear, tied: loss of the noise axis over the data's against its closed form, off by",
            "at most 1e-9",
            off,
            1e-9,
        )
        .beside("beta at which both are equal", critical),
        Check::at_least(
            "linear, tied, beta 10, from 45 degrees: cosine with the data's axis",
            "at least 0.99",
            strong,
            0.99,
        ),
        Check::at_most(
            "linear, tied, beta 1, from 80 degrees: cosine with the data's axis",
            "at most 0.1 (the noise axis)",
            weak,
            0.1,
        ),
        Check::at_least(
            "linear, free decoder, 45 and 80 degrees, beta 1 and 10: least cosine of the decoder",
            "at least 0.99",
            cosine,
            0.99,
        ),
        Check::at_most(
            "the same, largest error of the latent's variance",
            "at most 0.05",
            variance,
            0.05,
        ),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{MAJOR, MINOR, least};

    /// At this weight both axes have the same loss.
    #[test]
    fn the_critical_weight() {
        let critical = 0.5 * (MAJOR / MINOR).ln() / (MAJOR - MINOR);
        assert!((critical - 2.325_843_528_3).abs() < 1e-9);
        let gap = |beta: f64| least(beta, false).unwrap() - least(beta, true).unwrap();
        assert!(gap(critical).abs() < 1e-9);
        assert!(gap(0.9 * critical) < 0.0 && gap(1.1 * critical) > 0.0);
    }
}
