//! Gradients with respect to the times of a solution.

use crate::time::column;
use crate::{Field, Rows};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `y₀` with the gradient of the start: `∂y(t)/∂t₀ = −∂y(t)/∂y₀ f(t₀, y₀)`.
///
/// The value is that of `y0`.
pub(crate) fn depart(field: &dyn Field, y0: &Tensor, times: &Tensor) -> Result<Tensor> {
    if !times.requires_grad() {
        return Ok(y0.shallow_clone());
    }
    let start = times.f_select(-1, 0)?;
    let shift = start.f_detach()?.f_sub(&start)?;
    Ok(y0.f_add(&moved(field, y0, &start, &shift)?)?)
}

/// States `[T, B, …]` with the gradient of the times at which they were asked for:
/// `∂y(t)/∂t = f(t, y(t))`. The values stay.
pub(crate) fn arrive(field: &dyn Field, states: Tensor, times: &Tensor) -> Result<Tensor> {
    if !times.requires_grad() {
        return Ok(states);
    }
    let count = states.size()[0];
    let each = (0..count).map(|i| {
        let (state, t) = (states.f_select(0, i)?, times.f_select(-1, i)?);
        let shift = t.f_sub(&t.f_detach()?)?;
        Ok(state.f_add(&moved(field, &state, &t, &shift)?)?)
    });
    Ok(Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?)
}

/// `shift · f(t, y)`, where only `shift` carries a graph.
fn moved(field: &dyn Field, y: &Tensor, t: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let rows = y.size()[0];
    let speed = {
        let _no_grad = tch::no_grad_guard();
        let y = y.f_detach()?;
        let t = t.f_detach()?.f_to_kind(y.kind())?.f_expand([rows], false)?;
        field.rate(&t, &y, &Rows::all())?.f_detach()?
    };
    let shift = shift.f_to_kind(Kind::Double)?.f_expand([rows], false)?;
    Ok(speed.f_mul(&column(&shift, &speed)?)?)
}
