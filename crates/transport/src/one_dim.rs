//! Transport on the line, by sorting.

use ndarray::ArrayView1;

use crate::error::{Error, Result};
use crate::mass::Masses;
use crate::real::Real;

/// W_p between two samples on the line with equal masses,
/// (∫₀¹ |F⁻¹(t) − G⁻¹(t)|^p dt)^{1/p}, exact for any p ≥ 1 and any two sizes.
///
/// # Errors
/// An empty sample, a value that is not finite, or p below 1 or not finite.
pub fn wasserstein_1d<F: Real>(x: ArrayView1<'_, F>, y: ArrayView1<'_, F>, p: f64) -> Result<f64> {
    let (x, y) = (sample("x", x)?, sample("y", y)?);
    check_order(p)?;
    let equal = |values: &[f64]| vec![(values.len() as f64).recip(); values.len()];
    let (a, b) = (equal(&x), equal(&y));
    Ok(cost(&mut pairs(&x, &a), &mut pairs(&y, &b), p).powf(p.recip()))
}

/// [`wasserstein_1d`] between samples with masses, whose totals must agree; they count as shares of
/// the total.
///
/// # Errors
/// Those of [`wasserstein_1d`], and bad masses.
pub fn wasserstein_1d_weighted<F: Real>(
    x: ArrayView1<'_, F>,
    x_masses: ArrayView1<'_, F>,
    y: ArrayView1<'_, F>,
    y_masses: ArrayView1<'_, F>,
    p: f64,
) -> Result<f64> {
    let (x, y) = (sample("x", x)?, sample("y", y)?);
    check_order(p)?;
    let masses = Masses::new(x_masses, y_masses, (x.len(), y.len()))?.balance::<F>()?;
    let (total, _) = masses.totals();
    let power = cost(&mut pairs(&x, &masses.source), &mut pairs(&y, &masses.target), p);
    Ok((power / total).powf(p.recip()))
}

/// Σ mass · |x − y|^p of the monotone plan between two samples, which are sorted on the way.
/// A total mass of each that differs by rounding is no matter.
pub(crate) fn cost(x: &mut [(f64, f64)], y: &mut [(f64, f64)], p: f64) -> f64 {
    for side in [&mut *x, &mut *y] {
        side.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    }
    let power = |distance: f64| match p {
        1.0 => distance.abs(),
        2.0 => distance * distance,
        _ => distance.abs().powf(p),
    };
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    let (mut left_x, mut left_y) = (x[0].1, y[0].1);
    loop {
        let mass = left_x.min(left_y);
        sum += mass * power(x[i].0 - y[j].0);
        left_x -= mass;
        left_y -= mass;
        if left_x <= left_y {
            i += 1;
            if i == x.len() {
                return sum;
            }
            left_x += x[i].1;
        } else {
            j += 1;
            if j == y.len() {
                return sum;
            }
            left_y += y[j].1;
        }
    }
}

pub(crate) fn check_order(p: f64) -> Result<()> {
    if p >= 1.0 && p.is_finite() {
        return Ok(());
    }
    Err(Error::parameter("p", format!("expected a finite order of 1 or more, got {p}")))
}

fn sample<F: Real>(what: &'static str, values: ArrayView1<'_, F>) -> Result<Vec<f64>> {
    if values.is_empty() {
        return Err(Error::Empty { what });
    }
    let values: Vec<f64> = values.iter().map(|v| v.to_f64()).collect();
    match values.iter().find(|v| !v.is_finite()) {
        Some(&got) => Err(Error::NonFinite { what, got }),
        None => Ok(values),
    }
}

fn pairs(values: &[f64], masses: &[f64]) -> Vec<(f64, f64)> {
    values.iter().copied().zip(masses.iter().copied()).collect()
}
