//! MINIBOONE: particles seen by a neutrino detector.

use super::{
    Divisor, UciTable, check_width, finite, is_npy, named, normalise, others, repeating, stack,
    tenths,
};
use crate::dataset::numbered;
use crate::error::{Error, Result};
use crate::table::Table;
use crate::table::records::{Delimiter, for_each};
use ndarray::{Array2, Axis};
use std::path::Path;

/// Features of a particle.
const FEATURES: usize = 50;

/// MINIBOONE from UCI's text file (first line: numbers of signal and background rows; then rows of
/// 50 features, signal first), or from `miniboone/data.npy` of the paper's archive, which is
/// cleaned already.
///
/// Rules: signal rows only; rows whose first feature is below -100 are outliers and removed;
/// features whose smallest value occurs more than five times are removed (43 of 50 stay); the last
/// tenth tests, the last tenth of the rest validates; mean and deviation come from training and
/// validation rows together.
///
/// # Errors
/// [`Error::Io`], and [`Error::Format`], [`Error::Ragged`] or [`Error::NotNumeric`] where the file
/// is not what it should be.
pub fn miniboone(path: impl AsRef<Path>) -> Result<UciTable> {
    let path = path.as_ref();
    let (values, names) = if is_npy(path) {
        let table = Table::read_npy(path)?;
        (table.values().clone(), table.columns().to_vec())
    } else {
        let signal = read_text(path)?;
        let kept = others(FEATURES, &repeating(signal.view()));
        let names = numbered(FEATURES);
        let names = kept.iter().map(|&place| names[place].clone()).collect();
        (signal.select(Axis(1), &kept), names)
    };
    let data = named("miniboone", values, &names)?;
    let split = tenths(data.len())?;
    let held_in = data.select(&[split.train.as_slice(), &split.validation].concat())?;
    normalise(split.apply(&data)?, held_in.rows(), Divisor::All)
}

/// The signal rows without outliers.
fn read_text(path: &Path) -> Result<Array2<f64>> {
    let mut values = Vec::new();
    let mut signal = None;
    let mut row = 0;
    for_each(path, Delimiter::Blanks, |line, cells| {
        let Some(signal) = signal else {
            let counts = cells.iter().map(|cell| cell.parse::<u64>().ok());
            let counts: Option<Vec<u64>> = counts.collect();
            let Some([count, _]) = counts.as_deref() else {
                let why = "line 1: expected the numbers of signal and background rows";
                return Err(Error::format(path, why));
            };
            signal = Some(*count);
            return Ok(());
        };
        row += 1;
        if row > signal {
            return Ok(());
        }
        check_width(path, row, line, FEATURES, cells)?;
        let before = values.len();
        for (place, cell) in cells.iter().enumerate() {
            values.push(finite(path, row, line, &format_args!("x{place}"), cell)?);
        }
        if values[before] < -100.0 {
            values.truncate(before);
        }
        Ok(())
    })?;
    let signal = signal.unwrap_or(0);
    if row < signal {
        let why = format!("expected {signal} signal rows, got {row}: the file is truncated");
        return Err(Error::format(path, why));
    }
    stack(path, values, FEATURES)
}
