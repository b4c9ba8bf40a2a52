//! POWER: electric power consumption of one household, minute by minute.

use super::numpy::RandomState;
use super::{Divisor, UciTable, check_width, finite, is_npy, named, normalise, stack, tenths};
use crate::error::{Error, Result};
use crate::table::Table;
use crate::table::records::{Delimiter, for_each};
use ndarray::{Array2, Axis};
use std::path::Path;

/// Columns of the archive's array.
const WIDTH: usize = 8;
/// Places of the columns that stay, of the archive's eight.
const KEPT: [usize; 6] = [0, 2, 4, 5, 6, 7];
const NAMES: [&str; 6] = [
    "global_active_power",
    "voltage",
    "sub_metering_1",
    "sub_metering_2",
    "sub_metering_3",
    "minute_of_day",
];

/// POWER from UCI's text file, or from `power/data.npy` of the paper's archive (columns: global
/// active power, global reactive power, voltage, global intensity, three meters, time).
///
/// Rules: rows with a missing value (`?`) are left out, the date is dropped, the time becomes the
/// minute of the day; rows are shuffled; reactive power and intensity are dropped; uniform noise
/// widens what was rounded: 0.001 on active power, 0.01 on voltage, 1 on the three meters. The
/// last tenth tests, the last tenth of the rest validates. Mean and deviation come from training
/// and validation rows together.
///
/// Shuffle and noise are those of `numpy.random.RandomState(42)` in the order of the paper's code,
/// so the archive's array gives the published parts bit for bit, up to the rounding of mean and
/// deviation. UCI's file states whole minutes; noise of one minute is added to them there, drawn
/// after all else.
///
/// # Errors
/// [`Error::Io`], and [`Error::Format`], [`Error::Ragged`] or [`Error::NotNumeric`] where the file
/// is not what it should be.
pub fn power(path: impl AsRef<Path>) -> Result<UciTable> {
    let path = path.as_ref();
    let from_archive = is_npy(path);
    let raw = if from_archive {
        let values = Table::read_npy(path)?.values().clone();
        if values.ncols() != WIDTH {
            let why = format!("expected {WIDTH} columns, got {}", values.ncols());
            return Err(Error::format(path, why));
        }
        values
    } else {
        read_text(path)?
    };
    let mut random = RandomState::new(42);
    let order = random.shuffled(raw.nrows());
    let mut values = raw.select(Axis(0), &order).select(Axis(1), &KEPT);
    let mut widen = |columns: std::ops::Range<usize>, width: f64| {
        for mut row in values.rows_mut() {
            for column in columns.clone() {
                row[column] += width * random.rand();
            }
        }
    };
    widen(1..2, 0.01);
    widen(0..1, 0.001);
    widen(2..5, 1.0);
    if !from_archive {
        widen(5..6, 1.0);
    }
    let data = named("power", values, &NAMES.map(str::to_owned))?;
    let split = tenths(data.len())?;
    let held_in = data.select(&[split.train.as_slice(), &split.validation].concat())?;
    normalise(split.apply(&data)?, held_in.rows(), Divisor::All)
}

/// `Date;Time;…` with seven numbers, of which any may be `?`, in the archive's order of columns.
fn read_text(path: &Path) -> Result<Array2<f64>> {
    let mut values = Vec::new();
    let mut row = 0;
    for_each(path, Delimiter::Byte(b';'), |line, cells| {
        if line == 1 && cells.first() == Some(&"Date") {
            return Ok(());
        }
        row += 1;
        check_width(path, row, line, WIDTH + 1, cells)?;
        if cells[2..].iter().any(|cell| ["?", ""].contains(cell)) {
            return Ok(());
        }
        for (place, cell) in cells[2..].iter().enumerate() {
            values.push(finite(path, row, line, &format_args!("x{}", place + 2), cell)?);
        }
        values.push(minute(cells[1]).ok_or_else(|| Error::NotNumeric {
            path: path.to_owned(),
            row,
            line,
            column: "Time".to_owned(),
            got: cells[1].chars().take(40).collect(),
        })?);
        Ok(())
    })?;
    stack(path, values, WIDTH)
}

/// Minute of the day of `hh:mm:ss`.
fn minute(time: &str) -> Option<f64> {
    let mut parts = time.split(':').map(|part| part.parse::<u32>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    (hour < 24 && minute < 60).then(|| f64::from(60 * hour + minute))
}
