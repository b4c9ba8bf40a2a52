//! The network and its three ways to be trained.

use super::rain::{PIXELS, streaked};
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_ode::sde::MeanReverting;
use maxlik_tensor::host;
use maxlik_train::{OptimConfig, Schedule};
use std::cell::RefCell;
use std::f64::consts::PI;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Indices of the diffusion.
pub(super) const STEPS: usize = 100;
/// Training steps.
const TRAINING: u64 = 3000;
const BATCH: i64 = 128;
/// Frequencies of the time's features.
const FREQUENCIES: i32 = 4;
/// About the root mean square of what the streaks add.
const STREAK: f64 = 0.3;

/// The process of the paper's code: cosine schedule, `λ = 10/255`, and 0.005 of the image left.
pub(super) fn process() -> Result<MeanReverting> {
    Ok(MeanReverting::cosine(STEPS, 10.0 / 255.0, 0.005)?)
}

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    /// `|x − reverse drift(ε̂) − x*|`, `x*` the most likely state one step earlier.
    Likelihood,
    /// `|ε̂ − ε|`.
    Noise,
    /// `|f(μ) − x₀|`: the image at once.
    Direct,
}

/// The numbers of each index as tensors `[T + 1, 1]`.
#[derive(Debug)]
struct Table {
    weight: Tensor,
    std: Tensor,
    /// `x* − μ = state · (x − μ) + data · (x₀ − μ)`.
    state: Tensor,
    data: Tensor,
    /// The reverse mean less `μ` is `pull · (x − μ) − push · ε`.
    pull: Tensor,
    push: Tensor,
}

impl Table {
    fn new(sde: &MeanReverting) -> Result<Self> {
        let zero = Tensor::f_zeros([1], (Kind::Double, Device::Cpu))?;
        let one = zero.f_ones_like()?;
        let column = |of: &dyn Fn(usize) -> Result<f64>| -> Result<Tensor> {
            let later = (1..=STEPS).map(of).collect::<Result<Vec<f64>>>()?;
            let all: Vec<f64> = std::iter::once(0.0).chain(later).collect();
            Ok(Tensor::f_from_slice(&all)?.f_to_kind(Kind::Float)?.f_unsqueeze(1)?)
        };
        let value = |x: maxlik_tensor::Result<Tensor>| -> Result<f64> { Ok(host::scalar(&x?)?) };
        Ok(Self {
            weight: column(&|k| Ok(sde.weight(k)))?,
            std: column(&|k| Ok(sde.std(k)))?,
            state: column(&|k| value(sde.optimal(&one, &zero, &zero, k)))?,
            data: column(&|k| value(sde.optimal(&zero, &one, &zero, k)))?,
            pull: column(&|k| value(sde.reverse_mean(&one, &zero, &zero, k)))?,
            push: column(&|k| Ok(-value(sde.reverse_mean(&zero, &zero, &one, k))?))?,
        })
    }
}

/// A perceptron on state, degraded image and time.
#[derive(Debug)]
pub(super) struct Restorer {
    net: Mlp,
    table: Table,
}

/// What training leaves behind.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) net: Restorer,
    /// Standard deviation over mean of the losses of the last thousand steps.
    pub(super) unrest: f64,
}

impl Restorer {
    fn new(params: &Params) -> Result<Self> {
        let config =
            MlpConfig { hidden: vec![256, 256, 256], activation: Activation::Silu, dropout: 0.0 };
        let time = 1 + 2 * i64::from(FREQUENCIES);
        let net = Mlp::new(&params.root(), 2 * PIXELS, time, PIXELS, &config)?;
        Ok(Self { net, table: Table::new(&process()?)? })
    }

    /// The network's output for `x − μ` and `μ` at the indices `k` `[B]`.
    fn output(&self, shift: &Tensor, mu: &Tensor, k: &Tensor) -> Result<Tensor> {
        let at = |column: &Tensor| column.f_index_select(0, k);
        let t = k.f_to_kind(Kind::Float)?.f_unsqueeze(1)? / STEPS as f64;
        let mut features = vec![t.shallow_clone()];
        for i in 0..FREQUENCIES {
            let angle = &t * (PI * 2.0_f64.powi(i - 1));
            features.extend([angle.f_sin()?, angle.f_cos()?]);
        }
        // Brought to about the same size at all indices.
        let size = (at(&self.table.std)?.f_square()?
            + at(&self.table.weight)?.f_square()? * STREAK.powi(2))
        .f_sqrt()?;
        let joined = Tensor::f_cat(&[&(shift / size), &(mu * 2.0 - 1.0)], 1)?;
        Ok(self.net.forward(&joined, Some(&Tensor::f_cat(&features, 1)?))?)
    }

    /// The noise in `x` at the index `k`.
    pub(super) fn noise(&self, x: &Tensor, mu: &Tensor, k: usize) -> Result<Tensor> {
        let k = Tensor::f_full([x.size()[0]], k as i64, (Kind::Int64, Device::Cpu))?;
        self.output(&(x - mu), mu, &k)
    }

    /// The image at once, which starts as the degraded one.
    pub(super) fn direct(&self, mu: &Tensor) -> Result<Tensor> {
        let k = Tensor::f_full([mu.size()[0]], STEPS as i64, (Kind::Int64, Device::Cpu))?;
        Ok(mu + self.output(&mu.f_zeros_like()?, mu, &k)?)
    }

    fn loss(&self, clean: &Tensor, mu: &Tensor, objective: Objective) -> Result<Tensor> {
        let mean = |gap: Tensor| -> Result<Tensor> { Ok(gap.f_abs()?.f_mean(Kind::Float)?) };
        if objective == Objective::Direct {
            return mean(self.direct(mu)? - clean);
        }
        let rows = [clean.size()[0]];
        let k = Tensor::f_randint_low(1, STEPS as i64 + 1, rows, (Kind::Int64, Device::Cpu))?;
        let at = |column: &Tensor| column.f_index_select(0, &k);
        let noise = clean.f_randn_like()?;
        let clean = clean - mu;
        let shift = at(&self.table.weight)? * &clean + at(&self.table.std)? * &noise;
        let found = self.output(&shift, mu, &k)?;
        if objective == Objective::Noise {
            return mean(found - noise);
        }
        let reverse = at(&self.table.pull)? * &shift - at(&self.table.push)? * found;
        mean(reverse - at(&self.table.state)? * &shift - at(&self.table.data)? * &clean)
    }
}

/// Trains a network on clean images `[N, 64]` with fresh streaks at each step.
pub(super) fn train(seed: u64, clean: &Tensor, objective: Objective) -> Result<Trained> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let net = Restorer::new(&params)?;
    let optim = OptimConfig {
        steps: TRAINING,
        lr: 2e-3,
        clip: 1.0,
        ema: 0.995,
        schedule: Schedule::Cosine { warmup: 100, last: 0.01 },
        ..OptimConfig::default()
    };
    let losses = RefCell::new(Vec::new());
    fit(&params, &optim, seed, |_| {
        let index = Tensor::f_randint(clean.size()[0], [BATCH], (Kind::Int64, Device::Cpu))?;
        let images = clean.f_index_select(0, &index)?;
        let loss = net.loss(&images, &streaked(&images)?, objective)?;
        losses.borrow_mut().push(host::scalar(&loss)?);
        Ok(loss)
    })?;
    let losses = losses.into_inner();
    let last = &losses[losses.len().saturating_sub(1000)..];
    let mean = last.iter().sum::<f64>() / last.len() as f64;
    let variance = last.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / last.len() as f64;
    Ok(Trained { net, unrest: variance.sqrt() / mean })
}

/// Standard normal numbers for a batch of images.
pub(super) fn fresh(rows: i64) -> Result<Tensor> {
    Ok(Tensor::f_randn([rows, PIXELS], FLOAT_CPU)?)
}
