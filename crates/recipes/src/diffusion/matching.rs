//! What trains a diffusion model, and the evidence bound that it trains.

use super::process::{Ends, Process};
use maxlik_model::{Batch, Density, Loss, Objective, VectorField};
use maxlik_objectives::diffusion::{
    LearnedLevels, NoiseMatching, SecondOrder, TimeDraws, Times, VelocityMatching,
    prior_divergence, reconstruction,
};
use maxlik_tensor::{Result, Seeds, host};
use std::f64::consts::{E, TAU};
use tch::{Kind, Tensor};

/// Draws of times and noise that a bound averages over.
const DRAWS: u64 = 16;

/// What the network sees of data: `x = (y − shift)/scale`, where `y` are the data, or for levels `v` the
/// middle `(v + ½)/levels` or a uniform point `(v + u)/levels` of the bin.
#[derive(Debug)]
pub(super) struct Units {
    pub(super) shift: Tensor,
    pub(super) scale: Tensor,
    pub(super) levels: Option<u32>,
    pub(super) uniform: bool,
}

impl Units {
    fn centred(&self, y: &Tensor) -> Result<Tensor> {
        let like = |t: &Tensor| t.f_to_device(y.device())?.f_to_kind(y.kind());
        Ok(y.f_sub(&like(&self.shift)?)?.f_div(&like(&self.scale)?)?)
    }

    fn data(&self, rows: &Tensor) -> Result<Tensor> {
        let Some(levels) = self.levels else { return self.centred(rows) };
        let u = if self.uniform { rows.f_rand_like()? } else { rows.f_full_like(0.5)? };
        self.centred(&((rows + u) / f64::from(levels)))
    }

    pub(super) fn share(&self) -> Self {
        let (shift, scale) = (self.shift.shallow_clone(), self.scale.shallow_clone());
        Self { shift, scale, ..*self }
    }
}

/// The objective of a diffusion model's network.
#[derive(Debug)]
pub(super) enum Form {
    Velocity(VelocityMatching),
    SecondOrder(SecondOrder),
    Learned(Box<LearnedLevels>),
    Noise(NoiseMatching),
}

/// Matching of velocity or noise; it is bound to the network that it was built with.
#[derive(Debug)]
pub struct DiffusionMatching {
    pub(super) network: Box<dyn VectorField>,
    pub(super) units: Units,
    pub(super) form: Form,
}

impl Objective<dyn Density> for DiffusionMatching {
    fn loss(&self, _model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        let weight = batch.weight.as_ref().map(Tensor::shallow_clone);
        let batch = Batch { data: self.units.data(&batch.data)?, context: None, weight };
        let network = self.network.as_ref();
        match &self.form {
            Form::Velocity(matching) => matching.loss(network, &batch),
            Form::SecondOrder(matching) => matching.loss(network, &batch),
            Form::Learned(matching) => matching.loss(network, &batch),
            Form::Noise(matching) => matching.loss(network, &batch),
        }
    }
}

/// The evidence bound of a diffusion model: cheap, since nothing is solved.
#[derive(Debug)]
pub struct Evidence {
    pub(super) network: Box<dyn VectorField>,
    pub(super) units: Units,
    pub(super) process: Process,
}

impl Evidence {
    /// A bound on `−ln P(v)` of levels, or on `−ln p(y)` in the mean over data that are noised as at the
    /// start of the process, for each row in nats; the mean over 16 draws, which follow from `seed`.
    ///
    /// # Errors
    /// Those of the network.
    pub fn nats(&self, rows: &Tensor, seed: u64) -> Result<Vec<f64>> {
        let _no_grad = tch::no_grad_guard();
        let stream = Seeds::new(seed).stream("evidence");
        let mut sum = vec![0.0; rows.size()[0] as usize];
        for draw in 0..DRAWS {
            let each = maxlik_tensor::with_seed(stream.at(draw), || self.once(rows))?;
            let each = host::to_vec(&each)?;
            sum.iter_mut().zip(each).for_each(|(sum, x)| *sum += x / DRAWS as f64);
        }
        Ok(sum)
    }

    fn once(&self, rows: &Tensor) -> Result<Tensor> {
        let x = self.units.centred(&match self.units.levels {
            None => rows.shallow_clone(),
            Some(levels) => (rows + 0.5) / f64::from(levels),
        })?;
        let (batch, noise) = (Batch::new(x.shallow_clone()), x.f_randn_like()?);
        let network = self.network.as_ref();
        let diffusion = match self.process {
            Process::Velocity { path, g0, g1 } => {
                let matching = VelocityMatching { path, g0, g1, times: Times::Importance };
                matching.loss_at(network, &batch, &matching.draw(&x)?, &noise)?
            }
            Process::Noise { schedule, start } => {
                let matching = NoiseMatching { schedule, start, draws: TimeDraws::Levels };
                let offset = host::scalar(&Tensor::f_rand([1], tch::kind::DOUBLE_CPU)?)?;
                let t = Tensor::f_from_slice(&matching.times(offset, x.size()[0])?)?;
                let t = t.f_to_device(x.device())?.f_to_kind(x.kind())?;
                matching.loss_at(network, &batch, &t, &noise)?
            }
        };
        let Ends { data: [alpha, sigma], noise: end, prior } = self.process.ends()?;
        let paid = diffusion.f_add(&prior_divergence(&x, end, prior)?)?;
        let dims = x.size()[1] as f64;
        Ok(match self.units.levels {
            Some(levels) => {
                let places = Tensor::f_arange(i64::from(levels), (x.kind(), x.device()))?;
                let grid = (places * 2.0 + 1.0) / f64::from(levels) - 1.0;
                let first = x.f_randn_like()?;
                paid.f_add(&reconstruction(&x, &grid, sigma / alpha, &first)?)?
            }
            None => {
                // Noise of the first level, and the volume from z = α (y − shift)/scale to y.
                let entropy = 0.5 * dims * (TAU * E * sigma * sigma).ln();
                let scale = host::scalar(&self.units.scale.f_log()?.f_sum(None::<Kind>)?)?;
                paid.f_add_scalar(entropy - dims * alpha.ln() + scale)?
            }
        })
    }
}
