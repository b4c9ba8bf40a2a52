//! Digits, and the same under streaks.

use anyhow::Result;
use maxlik_data::digits;
use maxlik_data::tensor::array_to_tensor;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Pixels of an image.
pub(super) const PIXELS: i64 = 64;
const SIDE: i64 = 8;
/// Streaks of an image.
const STREAKS: i64 = 3;

/// Clean images `[N, 64]` in `[0, 1]`.
pub(super) fn images(indices: &[usize]) -> Result<Tensor> {
    let part = digits::dataset::<f64>()?.select(indices)?;
    let levels = array_to_tensor(part.rows(), &[part.dims()], Device::Cpu)?;
    Ok((levels / f64::from(digits::LEVELS - 1)).f_to_kind(Kind::Float)?)
}

/// Which pixels each of three diagonal streaks of random place covers, `[rows, 3, 64]`.
fn streaks(rows: i64) -> Result<Tensor> {
    let index = Tensor::f_arange(SIDE, (Kind::Int64, Device::Cpu))?;
    // Pixels of one diagonal have one difference of column and row.
    let diagonal = (index.f_unsqueeze(0)? - index.f_unsqueeze(1)?).f_view([1, 1, PIXELS])?;
    let place = [rows, STREAKS, 1];
    let offset = Tensor::f_randint_low(2 - SIDE, SIDE - 1, place, (Kind::Int64, Device::Cpu))?;
    Ok(diagonal.f_eq_tensor(&offset)?)
}

/// Which pixels are under a streak, `[rows, 64]`.
pub(super) fn covered(rows: i64) -> Result<Tensor> {
    Ok(streaks(rows)?.f_any_dim(1, false)?)
}

/// The images with three diagonal streaks each of random place and brightness in `[0.4, 1]`, cut to
/// `[0, 1]`.
pub(super) fn streaked(clean: &Tensor) -> Result<Tensor> {
    let rows = clean.size()[0];
    let covered = streaks(rows)?.f_to_kind(Kind::Float)?;
    let bright = Tensor::f_rand([rows, STREAKS, 1], FLOAT_CPU)? * 0.6 + 0.4;
    let added = (covered * bright).f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)?;
    Ok((clean + added).f_clamp(0.0, 1.0)?)
}
