//! The five tables of the density-estimation literature, from the user's raw files.
//!
//! The rules are those of the masked autoregressive flow paper (Papamakarios, Pavlakou and Murray,
//! 2017, "Masked autoregressive flow for density estimation", appendix D) and of its public code,
//! oddities included, so that numbers can be set beside published ones: nats of the normalised
//! rows, not of the raw units.
//!
//! | set | file | columns | published rows: train, validation, test |
//! |---|---|---|---|
//! | [`power`] | `household_power_consumption.txt`, or `data.npy` of the paper's archive | 6 | 1,659,917, 184,435, 204,928 |
//! | [`gas`] | `ethylene_CO.txt`, or an NPY of the archive's rows | 8 | 852,174, 94,685, 105,206 |
//! | [`hepmass`] | folder with `1000_train.csv` and `1000_test.csv` | 21 | 315,123, 35,013, 174,987 |
//! | [`miniboone`] | `MiniBooNE_PID.txt`, or `data.npy` of the archive | 43 | 29,556, 3,284, 3,648 |
//! | [`bsds300`] | NPZ of the archive's HDF5 file | 63 | 1,000,000, 50,000, 250,000 |
//!
//! None of these files ships with this crate, and its tests run on small made-up files of the same
//! form: what a real file gives should be compared with the table above.

mod bsds300;
mod gas;
mod hepmass;
mod miniboone;
mod numpy;
mod power;

pub use bsds300::{bsds300, patches};
pub use gas::gas;
pub use hepmass::{HepmassRows, hepmass};
pub use miniboone::miniboone;
pub use power::power;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::split::{Partition, Split};
use crate::standardize::Standardizer;
use ndarray::{Array2, ArrayView2, Axis};
use std::path::Path;

/// A table after its preprocessing.
#[derive(Debug, Clone, PartialEq)]
pub struct UciTable {
    /// The three parts, normalised.
    pub parts: Partition<f64>,
    /// The normalisation that was applied.
    pub standardizer: Standardizer,
}

/// Which divisor the variance has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Divisor {
    /// `N`, as NumPy.
    All,
    /// `N - 1`, as pandas.
    LessOne,
}

/// The last tenth tests, the last tenth of the rest validates, both rounded down.
fn tenths(rows: usize) -> Result<Split> {
    let tenth = |n: usize| (0.1 * n as f64) as usize;
    let test = tenth(rows);
    Split::in_order(rows, tenth(rows - test), test)
}

/// Mean and deviation of `fitted` rows, applied to all parts.
fn normalise(
    parts: Partition<f64>,
    fitted: ArrayView2<'_, f64>,
    divisor: Divisor,
) -> Result<UciTable> {
    let ddof = if divisor == Divisor::All { 0.0 } else { 1.0 };
    let name = parts.train.name().to_owned();
    let columns = parts.train.columns().to_vec();
    let (mean, sd): (Vec<f64>, Vec<f64>) = fitted
        .axis_iter(Axis(1))
        .map(|column| (column.mean().unwrap_or(0.0), column.std(ddof)))
        .unzip();
    let constant = columns.iter().zip(&sd).filter(|(_, sd)| **sd == 0.0);
    let constant: Vec<String> = constant.map(|(name, _)| name.clone()).collect();
    if !constant.is_empty() {
        return Err(Error::Constant { of: name, columns: constant });
    }
    let standardizer = Standardizer::from_parts(&columns, &mean, &sd)?;
    Ok(UciTable {
        parts: Partition {
            train: standardizer.apply(parts.train)?,
            validation: standardizer.apply(parts.validation)?,
            test: standardizer.apply(parts.test)?,
        },
        standardizer,
    })
}

/// A data set with columns of these names.
fn named(name: &str, values: Array2<f64>, columns: &[String]) -> Result<Dataset<f64>> {
    Dataset::new(name, values)?.with_columns(columns.to_vec())
}

/// Columns in which the smallest value occurs more than five times: the paper's code means to find
/// columns in which any value does, but counts the smallest only, and so shall we.
fn repeating(values: ArrayView2<'_, f64>) -> Vec<usize> {
    let repeats = |column: ndarray::ArrayView1<'_, f64>| {
        let least = column.iter().copied().fold(f64::INFINITY, f64::min);
        column.iter().filter(|&&v| v == least).count() > 5
    };
    let columns = values.axis_iter(Axis(1)).enumerate();
    columns.filter(|(_, c)| repeats(*c)).map(|(place, _)| place).collect()
}

/// All places of `0..count` but those in `left_out`.
fn others(count: usize, left_out: &[usize]) -> Vec<usize> {
    (0..count).filter(|place| !left_out.contains(place)).collect()
}

/// Refuses a row that has not `expected` cells.
fn check_width(path: &Path, row: u64, line: u64, expected: usize, cells: &[&str]) -> Result<()> {
    if cells.len() == expected {
        return Ok(());
    }
    Err(Error::Ragged { path: path.to_owned(), row, line, expected, got: cells.len() })
}

/// The finite number in a cell.
fn finite(
    path: &Path,
    row: u64,
    line: u64,
    column: &dyn std::fmt::Display,
    cell: &str,
) -> Result<f64> {
    let number = cell.parse::<f64>().ok().filter(|v| v.is_finite());
    number.ok_or_else(|| Error::NotNumeric {
        path: path.to_owned(),
        row,
        line,
        column: column.to_string(),
        got: cell.chars().take(40).collect(),
    })
}

/// Rows of equal width put one after the other.
fn stack(path: &Path, values: Vec<f64>, width: usize) -> Result<Array2<f64>> {
    if values.is_empty() {
        return Err(Error::format(path, "expected rows of numbers, got none"));
    }
    Array2::from_shape_vec((values.len() / width, width), values)
        .map_err(|e| Error::format(path, e.to_string()))
}

fn is_npy(path: &Path) -> bool {
    super::extension(path).as_deref() == Some("npy")
}
