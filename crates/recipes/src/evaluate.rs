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
/// Draws of dequantization noise that an evaluation averages over.
const DRAWS: u64 = 8;

/// All rows of a part as a tensor for `model`.
///
/// # Errors
/// LibTorch's.
pub fn rows(model: &Model, part: &Dataset<f64>) -> Result<Tensor> {
    let rows = array_to_tensor(part.rows(), &[part.dims()], model.device())?;
    Ok(rows.f_to_kind(model.kind())?)
}

/// Negative log-likelihood of each row in nats: of discrete data the mean bound over eight
/// draws of uniform noise, which are functions of `seed`, with the constant `D ln levels`.
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
    let Some(levels) = problem.levels else {
        return Ok(host::to_vec(&negative(&rows)?)?);
    };
    let levels = f64::from(levels);
    let noise = Seeds::new(seed).stream("dequantization");
    let mut sum = vec![0.0; part.len()];
    for draw in 0..DRAWS {
        let noise = maxlik_tensor::with_seed(noise.at(draw), || rows.f_rand_like())?;
        let values = host::to_vec(&negative(&((&rows + noise) / levels))?)?;
        sum.iter_mut().zip(values).for_each(|(s, v)| *s += v);
    }
    let constant = part.dims() as f64 * levels.ln();
    Ok(sum.into_iter().map(|s| s / DRAWS as f64 + constant).collect())
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
