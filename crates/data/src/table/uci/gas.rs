//! GAS: readings of sixteen gas sensors under mixtures of ethylene and carbon monoxide.

use super::{Divisor, UciTable, check_width, finite, is_npy, named, normalise, stack, tenths};
use crate::dataset::numbered;
use crate::error::{Error, Result};
use crate::random::{Stream, permutation};
use crate::table::Table;
use crate::table::records::{Delimiter, for_each};
use ndarray::{Array2, ArrayView2, Axis};
use std::path::Path;

const SENSORS: usize = 16;

/// GAS from UCI's text file, or from an NPY array `[N, 16]` of the sensors in the archive's pickle:
///
/// ```python
/// frame = pandas.read_pickle("ethylene_CO.pickle").drop(columns=["Meth", "Eth", "Time"])
/// numpy.save("gas.npy", frame.to_numpy())
/// ```
///
/// Rules: time and the two concentrations are dropped; while some column correlates by more than
/// 0.98 with another, the first such column is removed (8 of 16 stay); all rows together are
/// normalised (with `N - 1`), test rows included, as in the paper's code; the last tenth tests, the
/// last tenth of the rest validates.
///
/// The paper used a quarter of the rows, drawn without a seed: of the text file a quarter is drawn
/// here by `seed` (stream `gas`), in random order, so its parts are like the published ones, not
/// equal to them. The rows of an NPY file are taken as they are.
///
/// # Errors
/// [`Error::Io`], and [`Error::Format`], [`Error::Ragged`] or [`Error::NotNumeric`] where the file
/// is not what it should be.
pub fn gas(path: impl AsRef<Path>, seed: u64) -> Result<UciTable> {
    let path = path.as_ref();
    let sensors = if is_npy(path) {
        let values = Table::read_npy(path)?.values().clone();
        if values.ncols() != SENSORS {
            let why = format!("expected {SENSORS} columns, got {}", values.ncols());
            return Err(Error::format(path, why));
        }
        values
    } else {
        let all = read_text(path)?;
        let mut order = permutation(all.nrows(), &mut Stream::new(seed, "gas").rng(0));
        order.truncate((0.25 * all.nrows() as f64).round() as usize);
        all.select(Axis(0), &order)
    };
    let kept = uncorrelated(sensors.view());
    let names = numbered(SENSORS);
    let names: Vec<String> = kept.iter().map(|&place| names[place].clone()).collect();
    let data = named("gas", sensors.select(Axis(1), &kept), &names)?;
    let split = tenths(data.len())?;
    normalise(split.apply(&data)?, data.rows(), Divisor::LessOne)
}

/// Time, two concentrations and sixteen sensors, separated by blanks, after a line of words.
fn read_text(path: &Path) -> Result<Array2<f64>> {
    let mut values = Vec::new();
    let mut record = 0;
    for_each(path, Delimiter::Blanks, |line, cells| {
        record += 1;
        // The line of words is record 1.
        let row = record - 1;
        if row == 0 {
            return Ok(());
        }
        check_width(path, row, line, SENSORS + 3, cells)?;
        for (place, cell) in cells[3..].iter().enumerate() {
            values.push(finite(path, row, line, &format_args!("x{place}"), cell)?);
        }
        Ok(())
    })?;
    stack(path, values, SENSORS)
}

/// The columns that stay when the first of those that correlate by more than 0.98 with another is
/// removed until none does.
fn uncorrelated(values: ArrayView2<'_, f64>) -> Vec<usize> {
    let mean = values.mean_axis(Axis(0)).unwrap_or_default();
    let centred = &values - &mean;
    let products = centred.t().dot(&centred);
    let correlate =
        |i: usize, j: usize| products[[i, j]] > 0.98 * (products[[i, i]] * products[[j, j]]).sqrt();
    let mut kept: Vec<usize> = (0..values.ncols()).collect();
    while let Some(first) =
        kept.iter().position(|&i| kept.iter().any(|&j| i != j && correlate(i, j)))
    {
        kept.remove(first);
    }
    kept
}
