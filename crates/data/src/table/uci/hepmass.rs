//! HEPMASS: simulated collisions that make a new particle.

use super::{Divisor, UciTable, check_width, finite, named, normalise, others, repeating, stack};
use crate::dataset::numbered;
use crate::error::Result;
use crate::split::{Partition, Split};
use crate::table::records::{Delimiter, for_each};
use ndarray::{Array2, Axis};
use std::path::Path;

/// Features after the label.
const FEATURES: usize = 27;

/// Which rows of the two files to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HepmassRows {
    /// All: for the files of the paper's archive.
    All,
    /// The first tenth of each file: for UCI's own files, of which the paper took as many.
    FirstTenth,
}

/// HEPMASS from a folder with `1000_train.csv` and `1000_test.csv` (or either with `.gz`): a
/// header, then the label and 27 features; rows of the test file may have one more cell, which is
/// left out.
///
/// Rules: rows of the signal class (label 1) only; mean and deviation (with `N - 1`) from the
/// training file; features whose smallest value occurs more than five times there are removed
/// (21 of 27 stay); the last tenth of the training file validates.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io), and [`Error::Format`](crate::Error::Format),
/// [`Error::Ragged`](crate::Error::Ragged) or [`Error::NotNumeric`](crate::Error::NotNumeric) where a file is
/// not what it should be.
pub fn hepmass(folder: impl AsRef<Path>, rows: HepmassRows) -> Result<UciTable> {
    let read = |name: &str| {
        let plain = folder.as_ref().join(name);
        let packed = folder.as_ref().join(format!("{name}.gz"));
        read(if packed.exists() && !plain.exists() { &packed } else { &plain }, rows)
    };
    let (train, test) = (read("1000_train.csv")?, read("1000_test.csv")?);
    let kept = others(FEATURES, &repeating(train.view()));
    let names = numbered(FEATURES);
    let names: Vec<String> = kept.iter().map(|&place| names[place].clone()).collect();
    let data = |values: Array2<f64>| named("hepmass", values.select(Axis(1), &kept), &names);
    let (train, test) = (data(train)?, data(test)?);
    let validation = (train.len() as f64 * 0.1) as usize;
    let split = Split::in_order(train.len(), validation, 0)?;
    let parts = Partition {
        train: train.select(&split.train)?,
        validation: train.select(&split.validation)?,
        test,
    };
    normalise(parts, train.rows(), Divisor::LessOne)
}

/// The features of the signal rows.
fn read(path: &Path, rows: HepmassRows) -> Result<Array2<f64>> {
    let comma = Delimiter::Byte(b',');
    let most = match rows {
        HepmassRows::All => u64::MAX,
        HepmassRows::FirstTenth => {
            let mut records: u64 = 0;
            for_each(path, comma, |_, _| {
                records += 1;
                Ok(())
            })?;
            records.saturating_sub(1) / 10
        }
    };
    let mut values = Vec::new();
    let mut record = 0;
    for_each(path, comma, |line, cells| {
        record += 1;
        // The header is record 1.
        let row = record - 1;
        if row == 0 || row > most {
            return Ok(());
        }
        if cells.len() != FEATURES + 2 {
            check_width(path, row, line, FEATURES + 1, cells)?;
        }
        if finite(path, row, line, &"label", cells[0])? != 1.0 {
            return Ok(());
        }
        for (place, cell) in cells[1..=FEATURES].iter().enumerate() {
            values.push(finite(path, row, line, &format_args!("x{place}"), cell)?);
        }
        Ok(())
    })?;
    stack(path, values, FEATURES)
}
