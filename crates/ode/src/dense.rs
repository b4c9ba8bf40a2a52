//! The solution inside a step, for methods without an interpolant of their own.

use crate::stepper::{Point, Query, Step, Stepper};
use crate::time::{column, numbers};
use crate::{Rows, Time};
use maxlik_tensor::Result;
use tch::Tensor;

/// The cubic with `y(0) = y₀`, `y(1) = y₁`, `y′(0) = dt f₀` and `y′(1) = dt f₁` in `θ` (Hairer,
/// Nørsett and Wanner, "Solving Ordinary Differential Equations I", eq. II.6.7).
///
/// Slopes that are missing are evaluated, and kept in `step`.
pub(crate) fn hermite(point: &Point<'_>, step: &mut Step, query: &Query<'_>) -> Result<Tensor> {
    if step.start.is_none() {
        step.start = Some(match point.slope {
            Some(slope) => slope.shallow_clone(),
            None => {
                step.evaluations += 1;
                point.rate(0.0, point.y)?
            }
        });
    }
    if step.end.is_none() {
        step.end = Some(point.rate(1.0, &step.y)?);
        step.evaluations += 1;
    }
    // Both are set just above.
    let slope = |slope: &Option<Tensor>| slope.as_ref().unwrap_or(point.y).shallow_clone();
    let slopes = [slope(&step.start), slope(&step.end)];
    match query {
        Query::All(theta) => cubic(point.y, &step.y, &slopes, point.dt, &[*theta]),
        Query::Some { rows, theta } => {
            let pick = |x: &Tensor| x.f_index_select(0, rows);
            let [start, end] = &slopes;
            let slopes = [pick(start)?, pick(end)?];
            cubic(&pick(point.y)?, &pick(&step.y)?, &slopes, &point.dt.select(rows)?, theta)
        }
    }
}

/// The cubic through `y0` and `y1` with the given slopes at `θ`: one number for all rows, or one for
/// each.
pub(crate) fn cubic(
    y0: &Tensor,
    y1: &Tensor,
    slopes: &[Tensor; 2],
    dt: &Time,
    theta: &[f64],
) -> Result<Tensor> {
    let [start, end] = slopes;
    let (h0, h1) = (dt.scale(start)?, dt.scale(end)?);
    let difference = y1.f_sub(y0)?;
    if let [theta] = theta {
        let [smooth, first, last] = basis(*theta);
        return Ok(y0
            .f_add(&difference.f_mul_scalar(smooth)?)?
            .f_add(&h0.f_mul_scalar(first)?)?
            .f_add(&h1.f_mul_scalar(last)?)?);
    }
    let weights: Vec<[f64; 3]> = theta.iter().map(|&theta| basis(theta)).collect();
    let weight = |i: usize| -> Result<Tensor> {
        let values: Vec<f64> = weights.iter().map(|w| w[i]).collect();
        column(&numbers(&values, y0)?, y0)
    };
    Ok(y0
        .f_addcmul(&difference, &weight(0)?)?
        .f_addcmul(&h0, &weight(1)?)?
        .f_addcmul(&h1, &weight(2)?)?)
}

/// Weights of `y₁ − y₀`, `dt f₀` and `dt f₁`.
fn basis(theta: f64) -> [f64; 3] {
    let rest = 1.0 - theta;
    [theta * theta * (3.0 - 2.0 * theta), theta * rest * rest, -theta * theta * rest]
}

/// The solution inside a step by one more step of the method, from the same start, that ends there:
/// as accurate as the method. The evaluations of the asked rows are returned, too.
pub(crate) fn restep(
    stepper: &dyn Stepper,
    point: &Point<'_>,
    step: &Step,
    query: &Query<'_>,
) -> Result<(Tensor, u64)> {
    let slope = step.start.as_ref();
    let shorter = match query {
        Query::All(theta) => {
            stepper.step(&Point { dt: &point.dt.times(*theta)?, slope, ..*point })?
        }
        Query::Some { rows, theta } => {
            let theta = Tensor::f_from_slice(theta)?.f_to_device(point.y.device())?;
            let dt = Time::Each(match point.dt {
                Time::Shared(dt) => theta.f_mul_scalar(*dt)?,
                Time::Each(dt) => theta.f_mul(&dt.f_index_select(0, rows)?)?,
            });
            let original = match point.rows.index() {
                Some(index) => index.f_index_select(0, rows)?,
                None => rows.shallow_clone(),
            };
            let slope = slope.map(|k| k.f_index_select(0, rows)).transpose()?;
            stepper.step(&Point {
                field: point.field,
                rows: &Rows::of(original),
                t: &point.t.select(rows)?,
                dt: &dt,
                y: &point.y.f_index_select(0, rows)?,
                slope: slope.as_ref(),
            })?
        }
    };
    Ok((shorter.y, shorter.evaluations))
}
