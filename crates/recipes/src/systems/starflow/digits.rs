//! Handwritten digits: likelihood, classes by Bayes' rule, denoising and guided samples.

use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::{Context, Result};
use maxlik_data::digits;
use maxlik_data::tensor::array_to_tensor;
use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::image::{Centre, Patchify};
use maxlik_flows::tarflow::{Guidance, GuidanceRule, Reference, TarBlockConfig};
use maxlik_flows::{Compose, GaussianNoise, LabelDropout, Reshape, TarStack, TarflowConfig};
use maxlik_model::{Bijection, Density};
use maxlik_nn::{Params, TransformerConfig};
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Images, png};
use maxlik_train::{OptimConfig, Schedule};
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

const CLASSES: i64 = 10;
const DIMS: i64 = 64;
const LEVELS: f64 = digits::LEVELS as f64;

/// One part of the digits: levels `[N, 64]` and classes `[N]`.
struct Part {
    levels: Tensor,
    classes: Tensor,
}

impl Part {
    fn load(indices: &[usize]) -> Result<Self> {
        let part = digits::dataset::<f64>()?.select(indices)?;
        let levels = array_to_tensor(part.rows(), &[part.dims()], Device::Cpu)?;
        let classes = Tensor::f_from_slice(part.labels().context("digits without labels")?)?;
        Ok(Self { levels: levels.f_to_kind(Kind::Float)?, classes })
    }

    /// `(v + u)/17` with fresh uniform noise.
    fn dequantized(&self) -> Result<Tensor> {
        Ok((&self.levels + self.levels.f_rand_like()?) / LEVELS)
    }

    /// The middle of each level, in the same units.
    fn middles(&self) -> Tensor {
        (&self.levels + 0.5) / LEVELS
    }

    fn rows(&self) -> i64 {
        self.levels.size()[0]
    }
}

fn one_hot(classes: &Tensor) -> Result<Tensor> {
    Ok(classes.f_one_hot(CLASSES)?.f_to_kind(Kind::Float)?)
}

/// A transformer flow on patches of 2 × 2 pixels, conditioned on the class.
#[derive(Debug)]
struct PatchFlow {
    before: Compose,
    stack: TarStack,
    base: DiagonalNormal,
    params: Params,
}

impl PatchFlow {
    fn new(seed: u64, config: &TarflowConfig) -> Result<Self> {
        let params = Params::new(seed, Kind::Float, Device::Cpu);
        let root = params.root();
        let patches = Patchify::new([1, 8, 8], 2)?;
        let tokens = patches.tokens();
        let stack = TarStack::new(&root.sub("stack"), tokens, Some(CLASSES), config)?;
        let base = DiagonalNormal::standard(&root, &tokens);
        let before = Compose::new(vec![
            Box::new(Centre::new(&[DIMS])),
            Box::new(Reshape::new(&[DIMS], &[1, 8, 8])?),
            Box::new(patches),
        ])?;
        Ok(Self { before, stack, base, params })
    }

    /// Trains on `data(rows)` by maximum likelihood with label dropout.
    fn train(
        &self,
        seed: u64,
        train: &Part,
        data: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<()> {
        let dropout = LabelDropout::new(0.1)?;
        let optim = OptimConfig {
            steps: STEPS,
            lr: 2e-3,
            weight_decay: 1e-4,
            betas: [0.9, 0.95],
            clip: 1.0,
            ema: 0.99,
            schedule: Schedule::Cosine { warmup: 20, last: 0.01 },
            ..OptimConfig::default()
        };
        fit(&self.params, &optim, seed, |_| {
            let index = Tensor::f_randint(train.rows(), [BATCH], (Kind::Int64, Device::Cpu))?;
            let x = data(&train.levels.f_index_select(0, &index)?)?;
            let classes = one_hot(&train.classes.f_index_select(0, &index)?)?;
            let log_prob = self.log_prob(&x, Some(&dropout.apply(&classes)?))?;
            Ok(-log_prob.f_mean(Kind::Float)? / DIMS as f64)
        })
    }

    /// `ln p(x | y)` for all classes, `[B, 10]`.
    fn by_class(&self, x: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let rows = x.size()[0];
        let each = (0..CLASSES).map(|class| {
            let classes = Tensor::f_full([rows], class, (Kind::Int64, Device::Cpu))?;
            Ok(self.log_prob(x, Some(&one_hot(&classes)?))?.f_to_kind(Kind::Double)?)
        });
        Ok(Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// `ln P(v | y)` of the levels themselves, up to a constant, `[B, 10]`: the mean of the density
    /// over draws of the dequantization noise.
    fn by_class_of_levels(&self, part: &Part) -> Result<Tensor> {
        let draws = (0..DRAWS).map(|_| self.by_class(&part.dequantized()?));
        let draws = Tensor::f_stack(&draws.collect::<Result<Vec<_>>>()?, 0)?;
        Ok(draws.f_logsumexp([0_i64].as_slice(), false)? - (DRAWS as f64).ln())
    }
}

/// Draws of the noise for a posterior of the class.
const DRAWS: i64 = 16;

/// About 53 passes over the 1,437 training images.
const STEPS: u64 = 600;
const BATCH: i64 = 128;

impl Density for PatchFlow {
    fn event_shape(&self) -> &[i64] {
        &[DIMS]
    }

    fn context_shape(&self) -> Option<&[i64]> {
        Some(&[CLASSES])
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> maxlik_tensor::Result<Tensor> {
        let patches = self.before.map(x, None)?;
        let z = self.stack.map(&patches.value, context)?;
        let base = self.base.log_density(&z.value, None)?;
        Ok(base.f_add(&patches.log_det)?.f_add(&z.log_det)?)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> maxlik_tensor::Result<Tensor> {
        let z = self.base.draw(count, None)?;
        Ok(self.before.unmap(&self.stack.unmap(&z, context)?.value, None)?.value)
    }
}

fn transformer() -> TransformerConfig {
    TransformerConfig { width: 64, heads: 4, dropout: 0.1, ..TransformerConfig::default() }
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let split = digits::split(digits::SPLIT_SEED)?;
    let train = Part::load(&split.train)?;
    let validation = Part::load(&split.validation)?;
    let test = Part::load(&split.test)?;

    let block = TarBlockConfig { transformer: transformer(), ..TarBlockConfig::default() };
    let tarflow = PatchFlow::new(seed, &TarflowConfig::uniform(4, 2, block))?;
    tarflow.train(seed, &train, |v| Ok((v + v.f_rand_like()?) / LEVELS))?;

    Seeds::new(seed).stream("test").seed_torch(0);
    let gaussian = normal_nll(&train, &validation, &test)?;
    let by_class = tarflow.by_class(&test.dequantized()?)?;
    let mixed = by_class.f_logsumexp([1_i64].as_slice(), false)? - (CLASSES as f64).ln();
    let nll = -host::scalar(&mixed.f_mean(Kind::Double)?)? / DIMS as f64;
    let accuracy = agreement(&tarflow.by_class_of_levels(&test)?, &test.classes)?;

    let block = TarBlockConfig::starflow(transformer());
    let starflow = PatchFlow::new(seed + 1, &TarflowConfig::deep_shallow(2, 4, block))?;
    let noise = GaussianNoise::new(SIGMA)?;
    starflow.train(seed, &train, |v| Ok(noise.corrupt(&((v + 0.5) / LEVELS))?))?;
    Seeds::new(seed).stream("noise").seed_torch(0);
    let error = denoising_error(&starflow, &noise, &test)?;
    pictures(&starflow, &noise, seed, out)?;

    Ok(vec![
        Check::at_most(
            "digits, TARFlow, test NLL minus a full normal's, nats/dim",
            "at most −0.1",
            nll - gaussian,
            -0.1,
        )
        .beside("the normal's NLL", gaussian),
        Check::at_least("digits, class by Bayes' rule, accuracy", "at least 0.85", accuracy, 0.85)
            .beside("chance", 0.1),
        Check::at_most(
            "digits, STARFlow, squared error after denoising / noise variance",
            "at most 0.8",
            error,
            0.8,
        )
        .beside("before", 1.0),
    ])
}

/// Noise of the denoising experiment in units of `[0, 1]`: 0.1 in those of `[−1, 1]`.
const SIGMA: f64 = 0.05;

/// Part of the rows whose most likely class is their own.
fn agreement(by_class: &Tensor, classes: &Tensor) -> Result<f64> {
    let right = by_class.f_argmax(1, false)?.f_eq_tensor(classes)?;
    Ok(host::scalar(&right.f_to_kind(Kind::Double)?.f_mean(Kind::Double)?)?)
}

/// Test NLL per dimension of a normal with the full covariance of the training images, shrunk to a
/// multiple of the identity as far as is best for the validation images.
fn normal_nll(train: &Part, validation: &Part, test: &Part) -> Result<f64> {
    let double = |x: Tensor| x.f_to_kind(Kind::Double);
    let x = double(train.dequantized()?)?;
    let mean = x.f_mean_dim([0_i64].as_slice(), true, Kind::Double)?;
    let centred = &x - &mean;
    let covariance = centred.f_transpose(0, 1)?.f_matmul(&centred)? / x.size()[0] as f64;
    let level = host::scalar(&covariance.f_trace()?)? / DIMS as f64;
    let eye = Tensor::f_eye(DIMS, (Kind::Double, Device::Cpu))? * level;
    let nll = |x: &Tensor, shrink: f64| -> Result<f64> {
        let shrunk = &covariance * (1.0 - shrink) + &eye * shrink;
        let lower = shrunk.f_linalg_cholesky(false)?;
        let rows = (x - &mean).f_transpose(0, 1)?;
        let z = Tensor::f_linalg_solve_triangular(&lower, &rows, false, true, false)?;
        let log_det = host::scalar(&lower.f_diagonal(0, 0, 1)?.f_log()?.f_sum(Kind::Double)?)?;
        let square = host::scalar(&z.f_square()?.f_sum(Kind::Double)?)? / x.size()[0] as f64;
        Ok((0.5 * square + log_det) / DIMS as f64 + 0.5 * std::f64::consts::TAU.ln())
    };
    let held_out = double(validation.dequantized()?)?;
    let mut best = (f64::INFINITY, 0.0);
    for shrink in [1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1, 0.2] {
        let value = nll(&held_out, shrink)?;
        if value < best.0 {
            best = (value, shrink);
        }
    }
    nll(&double(test.dequantized()?)?, best.1)
}

/// `|x̂ − x|² / σ²` on average over the numbers of the test images, without their class.
fn denoising_error(model: &PatchFlow, noise: &GaussianNoise, test: &Part) -> Result<f64> {
    let x = test.middles();
    let y = noise.corrupt(&x)?;
    let context = LabelDropout::unconditional(&one_hot(&test.classes)?)?;
    let found = noise.denoise(model, &y, Some(&context))?;
    let error = (found - x).f_square()?.f_mean(Kind::Double)?;
    Ok(host::scalar(&error)? / SIGMA.powi(2))
}

/// Samples with classes in columns: raw, denoised, and denoised with guidance 1 and 3, two rows each.
fn pictures(model: &PatchFlow, noise: &GaussianNoise, seed: u64, out: &Path) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let classes = Tensor::f_arange(CLASSES, (Kind::Int64, Device::Cpu))?.f_repeat([2])?;
    let context = one_hot(&classes)?;
    let reference = Reference::Context(LabelDropout::unconditional(&context)?);
    Seeds::new(seed).stream("sampler").seed_torch(0);
    let z = Tensor::f_randn([2 * CLASSES, 16, 4], FLOAT_CPU)?;
    let mut rows = Vec::new();
    for (weight, clean) in [(0.0, false), (0.0, true), (1.0, true), (3.0, true)] {
        let guidance = Guidance { rule: GuidanceRule::Product, weight, ramp: false };
        let patches = model.stack.inverse_guided(&z, Some(&context), &guidance, &reference)?;
        let y = model.before.inverse(&patches, None)?.value;
        rows.push(if clean { noise.denoise(model, &y, Some(&context))? } else { y });
    }
    let values = host::to_vec(&Tensor::f_cat(&rows, 0)?)?;
    let images = Images { values, channels: 1, height: 8, width: 8 };
    let picture = images.inverted().grid(CLASSES as usize, 5, 5)?;
    std::fs::write(out.join("samples.png"), png(&picture)?)?;
    Ok(())
}
