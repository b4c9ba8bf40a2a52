//! Likelihood on held-out rows.

use crate::model::Model;
use crate::problem::Problem;
use anyhow::Result;
use maxlik_data::Dataset;
use maxlik_data::tensor::array_to_tensor;
use maxlik_model::Density;
use maxlik_tensor::{Seeds, host};
use tch::{Kind, Tensor};

/// Rows that are evaluated at once.
const CHUNK: i64 = 2048;
/// Draws of dequantization noise that an evaluation averages over; of a diffusion model, whose draws
/// cost the solution of an equation each, fewer.
const DRAWS: [u64; 2] = [8, 2];

/// The number of draws of dequantization noise in [`nll`].
#[must_use]
pub fn draws(model: &Model) -> u64 {
    DRAWS[usize::from(model.evidence.is_some())]
}

/// All rows of a part as a tensor for `model`.
///
/// # Errors
/// LibTorch's.
pub fn rows(model: &Model, part: &Dataset<f64>) -> Result<Tensor> {
    let rows = array_to_tensor(part.rows(), &[part.dims()], model.device())?;
    Ok(rows.f_to_kind(model.kind())?)
}

/// Negative log-likelihood of each row in nats: of discrete data the mean bound over [`draws`] of the
/// model's dequantization, `−ln p(y) + ln q(y | v)`. All draws, those of a trace too, are functions of
/// `seed`.
///
/// # Errors
/// Those of the density.
pub fn nll(model: &Model, problem: &Problem, part: &Dataset<f64>, seed: u64) -> Result<Vec<f64>> {
    let _no_grad = tch::no_grad_guard();
    let rows = rows(model, part)?;
    let density: &dyn Density = model.density.as_ref();
    let negative = |x: &Tensor| -> Result<Tensor> {
        let chunks = x.f_split(CHUNK, 0)?;
        let each = chunks.iter().map(|x| Ok(density.log_prob(x, None)?.f_to_kind(Kind::Double)?));
        Ok(-Tensor::f_cat(&each.collect::<Result<Vec<_>>>()?, 0)?)
    };
    let noise = Seeds::new(seed).stream("dequantization");
    let (Some(levels), Some(dequantizer)) = (problem.levels, &model.dequantizer) else {
        let found = maxlik_tensor::with_seed(noise.at(0), || negative(&rows))?;
        return Ok(host::to_vec(&found)?);
    };
    let middles = (rows + 0.5) / f64::from(levels);
    let mut sum = vec![0.0; part.len()];
    for draw in 0..draws(model) {
        let each = maxlik_tensor::with_seed(noise.at(draw), || -> Result<Tensor> {
            let point = dequantizer.draw(&middles)?;
            Ok(negative(&point.value)?.f_add(&point.log_prob.f_to_kind(Kind::Double)?)?)
        })?;
        sum.iter_mut().zip(host::to_vec(&each)?).for_each(|(s, v)| *s += v);
    }
    Ok(sum.into_iter().map(|s| s / draws(model) as f64).collect())
}

/// What validates a model in training: its evidence bound where it has one, which is cheap; else
/// [`nll`].
///
/// # Errors
/// Those of the model.
pub fn validation(model: &Model, problem: &Problem, seed: u64) -> Result<Vec<f64>> {
    let part = &problem.parts.validation;
    match &model.evidence {
        Some(evidence) => Ok(evidence.nats(&rows(model, part)?, seed)?),
        None => nll(model, problem, part, seed),
    }
}

/// Mean bits per dimension of the test images under two models without a network: every level
/// equally likely, and every pixel independent with the training part's frequencies (plus one
/// pseudo-count each, so that no level has probability zero).
#[must_use]
pub fn image_baselines(problem: &Problem, levels: u32) -> [(&'static str, f64); 2] {
    let (train, test) = (problem.parts.train.rows(), problem.parts.test.rows());
    let smoothing = f64::from(levels);
    let bits: f64 = (0..train.ncols())
        .map(|pixel| {
            let mut counts = vec![1.0_f64; levels as usize];
            for &v in train.column(pixel) {
                counts[v as usize] += 1.0;
            }
            let total = train.nrows() as f64 + smoothing;
            let column = test.column(pixel);
            let bits = column.iter().map(|&v| -(counts[v as usize] / total).log2());
            bits.sum::<f64>() / test.nrows() as f64
        })
        .sum();
    [("uniform", f64::from(levels).log2()), ("independent pixels", bits / train.ncols() as f64)]
}
