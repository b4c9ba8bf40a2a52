//! Samples of a trained model, as files.

use crate::model::Model;
use crate::problem::{Problem, Subject};
use anyhow::{Context, Result};
use maxlik_tensor::{Seeds, host};
use maxlik_train::Run;
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use std::path::PathBuf;

/// Samples that are drawn at once.
const CHUNK: i64 = 4096;

/// `count` samples in the units of the data, `[count, D]`; of discrete data, their levels.
///
/// # Errors
/// Those of the density.
pub fn draw(problem: &Problem, model: &Model, count: i64, seed: u64) -> Result<Array2<f64>> {
    let stream = Seeds::new(seed).stream("sampler");
    let mut values = Vec::new();
    let mut done = 0;
    for chunk in 0.. {
        let now = CHUNK.min(count - done);
        if now <= 0 {
            break;
        }
        let x = maxlik_tensor::with_seed(stream.at(chunk), || model.density.sample(now, None))?;
        values.extend(host::to_vec(&x)?);
        done += now;
    }
    let mut samples = Array2::from_shape_vec((count as usize, problem.dims() as usize), values)?;
    if let Some(levels) = problem.levels {
        let levels = f64::from(levels);
        samples.mapv_inplace(|x| (x * levels).floor().clamp(0.0, levels - 1.0));
    }
    Ok(samples)
}

/// Writes samples into the run's folder: images as NPY and as a PNG grid, tables as CSV.
///
/// # Errors
/// For files that cannot be written.
pub fn write(run: &Run, problem: &Problem, samples: &Array2<f64>) -> Result<Vec<PathBuf>> {
    match &problem.subject {
        Subject::Images { .. } => {
            let mut bytes = Vec::new();
            samples.mapv(|v| v as u8).write_npy(&mut bytes).context("samples.npy")?;
            let array = run.write("samples.npy", &bytes)?;
            let picture = crate::pictures::images(problem, samples, SHOWN)?;
            Ok(vec![array, run.write("samples.png", &picture)?])
        }
        Subject::Plane { .. } | Subject::Table => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(problem.parts.train.columns())?;
            for row in samples.rows() {
                writer.write_record(row.iter().map(f64::to_string))?;
            }
            let bytes = writer.into_inner().context("samples.csv")?;
            Ok(vec![run.write("samples.csv", &bytes)?])
        }
    }
}

/// Most images in a picture.
const SHOWN: usize = 100;
