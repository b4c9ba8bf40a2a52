//! Uniform dequantisation: from integers to the unit interval and back.
//!
//! A value `v` of `0..L` becomes `y = (v + u) / L` with `u` uniform in (0, 1). A density `q` of `y`
//! (`D` numbers) defines the probability of the integers, and by Jensen's inequality
//!
//! ```text
//! -log2 P(v) = -log2 ∫ q((v + u)/L) du / L^D  <=  E_u[-log2 q(y)] + D log2 L,
//! ```
//!
//! so the mean of `-ln q(y)` in nats gives an upper bound of the bits per dimension by
//! [`bits_per_dim`]: Theis, van den Oord and Bethge (2016), section 3.1.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::loader::Transform;
use crate::random::{Stream, open_unit};
use crate::scalar::Scalar;
use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::LN_2;

/// Bits per dimension of integers of `0..levels` from the negative log-likelihood in nats of the
/// whole event after dequantisation to the unit interval:
///
/// ```text
/// (nll / dims + ln levels) / ln 2
/// ```
///
/// The constant is `dims · ln(levels)` nats an event: for the digits (64 numbers, 17 levels)
/// 64 ln 17 = 181.33 nats, or log2 17 = 4.087 bits a dimension, which is what the uniform density
/// (`nll` 0) gives.
#[must_use]
pub fn bits_per_dim(nll: f64, dims: usize, levels: u32) -> f64 {
    (nll / dims as f64 + f64::from(levels).ln()) / LN_2
}

/// The transform `y = (v + u) / levels` for rows of integers `v` of `0..levels`.
///
/// In either precision `y` is inside (0, 1) and [`quantize`] gives `v` back: where rounding would
/// cross into another level, `y` is moved back to the nearest number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dequantize {
    levels: u32,
}

impl Dequantize {
    /// For values of `0..levels`.
    ///
    /// # Errors
    /// [`Error::Config`] unless `levels` is in `2..=65536`: single precision can hold no more with
    /// room between them.
    pub fn new(levels: u32) -> Result<Self> {
        if (2..=65536).contains(&levels) {
            return Ok(Self { levels });
        }
        let why = format!("expected 2 to 65536, got {levels}");
        Err(Error::config("dequantization levels", why))
    }

    /// One fixed draw for each row of `data`, for validation and test: row `i` (of `data`, from 0)
    /// uses the generator `i` of stream `dequantize` of `seed`.
    ///
    /// # Errors
    /// [`Error::Config`] unless `data` says that it has these levels.
    pub fn dataset<T: Scalar>(&self, data: &Dataset<T>, seed: u64) -> Result<Dataset<T>> {
        if data.levels() != Some(self.levels) {
            let got = data.levels().map_or("none".to_owned(), |l| l.to_string());
            let why = format!("expected {}, got {got}", self.levels);
            return Err(Error::config(format!("{}, levels", data.name()), why));
        }
        let stream = Stream::new(seed, "dequantize");
        let mut rows = data.rows().as_standard_layout().into_owned();
        for (index, mut row) in rows.rows_mut().into_iter().enumerate() {
            let mut rng = stream.rng(index as u64);
            for value in &mut row {
                *value = self.value(*value, &mut rng);
            }
        }
        data.clone().with_rows(rows, data.columns().to_vec())
    }

    fn value<T: Scalar>(&self, v: T, rng: &mut ChaCha8Rng) -> T {
        let levels = f64::from(self.levels);
        let v = v.to_f64();
        let mut y = T::from_f64((v + open_unit(rng)) / levels);
        // Rounding may cross into the next level (or reach 1), or into the one before, by a unit
        // or two in the last place.
        for _ in 0..4 {
            if y.to_f64() * levels >= v + 1.0 {
                y = y.next_below();
            } else if y.to_f64() * levels < v {
                y = y.next_above();
            }
        }
        y
    }
}

impl<T: Scalar> Transform<T> for Dequantize {
    fn apply(&self, row: &mut [T], _index: usize, rng: &mut ChaCha8Rng) {
        for value in row {
            *value = self.value(*value, rng);
        }
    }
}

/// The level `⌊y · levels⌋` of each number, kept within `0..levels`: to show samples of a model.
///
/// # Errors
/// [`Error::Config`] unless `levels` is in `2..=256`.
pub fn quantize<T: Scalar>(y: ArrayView2<'_, T>, levels: u32) -> Result<Array2<u8>> {
    if !(2..=256).contains(&levels) {
        let why = format!("expected 2 to 256, got {levels}");
        return Err(Error::config("quantization levels", why));
    }
    let largest = f64::from(levels - 1);
    Ok(y.mapv(|y| (y.to_f64() * f64::from(levels)).floor().clamp(0.0, largest) as u8))
}
