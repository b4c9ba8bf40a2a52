//! What is measured of a velocity network: its loss, its residual, and the probability of images.

use super::digits::{DIMS, G0, G1, LEVELS, PATH};
use super::network::DigitNet;
use anyhow::Result;
use maxlik_model::{Batch, Objective, VectorField};
use maxlik_objectives::diffusion::{Elbo, Times, VelocityMatching};
use maxlik_ode::diffusion::{Dequantization, Dequantizer, GammaOde, Levels};
use maxlik_ode::trace::Noise;
use maxlik_ode::{Adaptive, Batching, Cnf, Draws, Gaussian, Solver, tableau};
use maxlik_tensor::{Seeds, host};
use std::f64::consts::LN_2;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// The objective with that law of noise levels.
pub(super) fn matching(times: Times) -> VelocityMatching {
    VelocityMatching { path: PATH, g0: G0, g1: G1, times }
}

/// Mean and standard deviation of the losses of single batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) std: f64,
    batches: f64,
}

impl Spread {
    /// Losses of `batches` random batches of `data`.
    pub(super) fn of(
        net: &DigitNet,
        data: &Tensor,
        times: Times,
        [batches, rows]: [i64; 2],
    ) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let mut losses = Vec::new();
        for _ in 0..batches {
            let index = Tensor::f_randint(data.size()[0], [rows], (Kind::Int64, Device::Cpu))?;
            let batch = Batch::new(data.f_index_select(0, &index)?);
            let loss = matching(times).loss(net as &dyn VectorField, &batch)?;
            losses.push(host::scalar(&loss.value)?);
        }
        let count = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / count;
        let variance = losses.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Ok(Self { mean, std: variance.sqrt(), batches: count })
    }

    /// Losses of single rows with levels of their own, over `rows` random rows of `data`.
    pub(super) fn of_rows(net: &DigitNet, data: &Tensor, times: Times, rows: i64) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let index = Tensor::f_randint(data.size()[0], [rows], (Kind::Int64, Device::Cpu))?;
        let batch = Batch::new(data.f_index_select(0, &index)?);
        let (matching, noise) = (matching(times), batch.data.f_randn_like()?);
        let gamma = matching.draw(&batch.data)?;
        let each = matching.loss_at(net, &batch, &gamma, &noise)?.f_to_kind(Kind::Double)?;
        let (mean, std) =
            (host::scalar(&each.f_mean(Kind::Double)?)?, host::scalar(&each.f_std(true)?)?);
        Ok(Self { mean, std, batches: rows as f64 })
    }

    /// Difference of the means in standard errors.
    pub(super) fn apart(self, other: Self) -> f64 {
        let square = |s: Self| s.std * s.std / s.batches;
        (self.mean - other.mean).abs() / (square(self) + square(other)).sqrt()
    }
}

/// The middles of all levels.
fn grid() -> Result<Tensor> {
    Ok((Tensor::f_arange(LEVELS as i64, FLOAT_CPU)? * 2.0 + 1.0) / LEVELS - 1.0)
}

/// The negative evidence lower bound of `data`, bits/dim.
pub(super) fn bound(net: &DigitNet, data: &Tensor) -> Result<f64> {
    let _no_grad = tch::no_grad_guard();
    let elbo = Elbo { diffusion: matching(Times::Importance), grid: grid()? };
    let gamma = elbo.diffusion.draw(data)?;
    let batch = Batch::new(data.shallow_clone());
    let noises = [data.f_randn_like()?, data.f_randn_like()?];
    let terms = elbo.terms_at(net, &batch, &gamma, &noises[0], &noises[1])?;
    Ok(host::scalar(&terms.bits_per_dim(DIMS)?.f_mean(Kind::Double)?)?)
}

/// Mean of `½ ‖ε − ε̂‖²` over `data` at one `γ`: what the bound pays there, nats.
pub(super) fn cost_at(net: &DigitNet, data: &Tensor, gamma: f64) -> Result<f64> {
    let _no_grad = tch::no_grad_guard();
    let gamma = Tensor::f_full([data.size()[0]], gamma, FLOAT_CPU)?;
    let matching = matching(Times::Uniform);
    let batch = Batch::new(data.shallow_clone());
    let each = matching.loss_at(net, &batch, &gamma, &data.f_randn_like()?)?;
    Ok(host::scalar(&each.f_mean(Kind::Double)?)? / (G1 - G0))
}

/// A network as a density of `z_0`.
#[derive(Debug)]
pub(super) struct Likelihood {
    pub(super) flow: Cnf,
    start: [f64; 2],
}

/// Estimates of `ln p(z_0) − ln q(z_0 | x)` for `K` points of each image, `[K, B]`, in nats.
#[derive(Debug)]
pub(super) struct Weights(Tensor);

impl Weights {
    /// Bits/dim of the mean bound with one point.
    pub(super) fn bits(&self) -> Result<f64> {
        Ok(-host::scalar(&self.0.f_mean(Kind::Double)?)? / (DIMS as f64 * LN_2))
    }

    /// Bits/dim of the importance-weighted bound with all `K` points.
    pub(super) fn weighted_bits(&self) -> Result<f64> {
        let count = self.0.size()[0] as f64;
        let bound = self.0.f_to_kind(Kind::Double)?.f_logsumexp([0_i64].as_slice(), false)?;
        Ok((count.ln() - host::scalar(&bound.f_mean(Kind::Double)?)?) / (DIMS as f64 * LN_2))
    }
}

impl Likelihood {
    pub(super) fn new(network: DigitNet) -> Result<Self> {
        let level = |gamma: f64| -> Result<[f64; 2]> {
            let Levels { alpha, sigma } = PATH.levels(&Tensor::from(gamma))?;
            Ok([host::scalar(&alpha)?, host::scalar(&sigma)?])
        };
        let base = Gaussian::new(&[DIMS], level(G1)?[1], Kind::Float, Device::Cpu)?;
        // The paper's tolerances; all images take the same steps.
        let control = Adaptive { batching: Batching::Joint, ..Adaptive::new(1e-5, 1e-5) };
        let solver = Solver::adaptive(tableau::DOPRI5, control)?;
        let flow = Cnf::new(GammaOde { path: PATH, network }, base, solver).times(G1, G0);
        Ok(Self { flow, start: level(G0)? })
    }

    /// Weights of `points` draws for each image of `x`; noise and probes follow from the seed, and an
    /// image keeps its probe over all draws.
    pub(super) fn weights(
        &self,
        seed: u64,
        x: &Tensor,
        how: Dequantization,
        points: i64,
    ) -> Result<Weights> {
        let _no_grad = tch::no_grad_guard();
        Seeds::new(seed).stream("likelihood").seed_torch(0);
        let rows = x.size()[0];
        let probe = Noise::Rademacher.draw(&[1, rows, DIMS], x)?.f_repeat([1, points, 1])?;
        let [alpha, sigma] = self.start;
        let dequantizer = Dequantizer::new(how, alpha, sigma, 1.0 / LEVELS)?;
        let point = dequantizer.draw(&x.f_repeat([points, 1])?)?;
        let draws = Draws { probe: Some(probe), base_time: None };
        let found = self.flow.evaluate(&point.value, None, &draws)?.log_prob;
        Ok(Weights(found.f_sub(&point.log_prob)?.f_view([points, rows])?))
    }
}
