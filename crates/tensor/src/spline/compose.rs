//! The spline as a composition of tensor ops.

use super::{Elementwise, Knots, RationalQuadratic, Tails};
use crate::Result;
use tch::Tensor;

/// Knots of all elements: `[B, D, K + 1]` positions and derivatives.
struct Grid {
    x: Tensor,
    y: Tensor,
    derivatives: Tensor,
}

pub(super) fn rational_quadratic(
    spec: &RationalQuadratic,
    input: &Tensor,
    params: &Tensor,
    inverse: bool,
) -> Result<Elementwise> {
    let (low, high) = spec.interval;
    let inside = input.f_ge(low)?.f_logical_and(&input.f_le(high)?)?;
    // Clamp before, select after: neither values nor gradients are NaN outside.
    let v = input.f_clamp(low, high)?;
    let grid = grid(spec, params)?;
    let edges = if inverse { &grid.y } else { &grid.x };
    let inner = edges.f_slice(-1, 1, spec.bins as i64, 1)?;
    let index = v.f_unsqueeze(-1)?.f_ge_tensor(&inner)?.f_sum_dim_intlist(
        [-1_i64].as_slice(),
        true,
        tch::Kind::Int64,
    )?;
    let next = index.f_add_scalar(1)?;
    let at = |from: &Tensor, i: &Tensor| -> Result<Tensor> {
        Ok(from.f_gather(-1, i, false)?.f_squeeze_dim(-1)?)
    };
    let (x0, x1) = (at(&grid.x, &index)?, at(&grid.x, &next)?);
    let (y0, y1) = (at(&grid.y, &index)?, at(&grid.y, &next)?);
    let (d0, d1) = (at(&grid.derivatives, &index)?, at(&grid.derivatives, &next)?);
    let (w, h) = (&x1 - &x0, &y1 - &y0);
    let s = &h / &w;
    let sum = &d0 + &d1 - &s * 2.0;
    let theta = if inverse {
        let rise = &v - &y0;
        let a = &h * (&s - &d0) + &rise * &sum;
        let b = &h * &d0 - &rise * &sum;
        let c = -(&s * &rise);
        let square = (&b * &b - &a * &c * 4.0).f_clamp_min(0.0)?;
        &c * 2.0 / (-&b - square.f_sqrt()?)
    } else {
        (&v - &x0) / &w
    };
    let rest: Tensor = 1.0 - &theta;
    let t = &theta * &rest;
    let den = &s + &sum * &t;
    let q = &d1 * &theta * &theta + &s * &t * 2.0 + &d0 * &rest * &rest;
    let log = s.f_log()? * 2.0 + q.f_log()? - den.f_log()? * 2.0;
    let (value, log) = if inverse {
        (&x0 + &theta * &w, -log)
    } else {
        (&y0 + &h * (&s * &theta * &theta + &d0 * &t) / &den, log)
    };
    // Rounding must not push an end of the interval out of it; the gradient is left alone.
    let value = &value + (value.f_clamp(low, high)? - &value).f_detach()?;
    let log = log.f_where_self(&inside, &log.f_zeros_like()?)?;
    Ok(Elementwise {
        value: value.f_where_self(&inside, input)?,
        log_det: log.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<tch::Kind>)?,
    })
}

fn grid(spec: &RationalQuadratic, params: &Tensor) -> Result<Grid> {
    let k = spec.bins as i64;
    let (low, high) = spec.interval;
    let raw_w = params.f_slice(-1, 0, k, 1)?;
    let raw_h = params.f_slice(-1, k, 2 * k, 1)?;
    let raw_d = params.f_slice(-1, 2 * k, spec.parameters() as i64, 1)?;
    let clip = |raw: Tensor, by: f64| -> Result<Tensor> { Ok(&raw / ((&raw * by).f_abs()? + 1.0)) };
    let (w, h, d, end) = match spec.knots {
        Knots::Softmax { min_width, min_height, min_derivative } => {
            let size = |raw: &Tensor, floor: f64| -> Result<Tensor> {
                Ok(raw.f_softmax(-1, None::<tch::Kind>)? * (1.0 - floor * k as f64) + floor)
            };
            (
                size(&raw_w, min_width)?,
                size(&raw_h, min_height)?,
                raw_d.f_softplus()? + min_derivative,
                1.0,
            )
        }
        Knots::SoftClip { slope } => {
            let by = 1.0 / slope.ln();
            let size = |raw: Tensor| -> Result<Tensor> {
                Ok(clip(raw, 2.0 * by)?.f_softmax(-1, None::<tch::Kind>)?)
            };
            (size(raw_w)?, size(raw_h)?, clip(raw_d, by)?.f_exp()?, 1.0)
        }
    };
    let knots = |sizes: &Tensor| -> Result<Tensor> {
        let inner =
            sizes.f_slice(-1, 0, k - 1, 1)?.f_cumsum(-1, None::<tch::Kind>)? * (high - low) + low;
        let mut ends = sizes.size();
        if let Some(last) = ends.last_mut() {
            *last = 1;
        }
        let options = (sizes.kind(), sizes.device());
        let (first, last) =
            (Tensor::f_full(&ends, low, options)?, Tensor::f_full(&ends, high, options)?);
        Ok(Tensor::f_cat(&[first, inner, last], -1)?)
    };
    let derivatives = match spec.tails {
        Tails::Bounded => d,
        Tails::Circular => Tensor::f_cat(&[&d, &d.f_slice(-1, 0, 1, 1)?], -1)?,
        Tails::Linear => d.f_pad([1_i64, 1].as_slice(), "constant", end)?,
    };
    Ok(Grid { x: knots(&w)?, y: knots(&h)?, derivatives })
}
