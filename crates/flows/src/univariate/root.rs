//! Inverses of increasing maps of the whole line, elementwise.

use crate::elementwise::root::polish;
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result, host};
use tch::{Kind, Tensor};

/// An increasing function at a point: value and logarithm of the slope, elementwise.
#[derive(Debug)]
pub(crate) struct At {
    pub(crate) value: Tensor,
    pub(crate) log_slope: Tensor,
}

/// Value and summed log-derivative of `f` at `x`.
pub(crate) fn forward(x: &Tensor, f: impl Fn(&Tensor) -> Result<At>) -> Result<Mapped> {
    let At { value, log_slope } = f(x)?;
    Ok(Mapped { value, log_det: sum(&log_slope)? })
}

/// The inverse of `f` at `z`, with its derivatives by `z` and by all that `f` depends on (of the
/// implicit function), and the summed log-derivative.
///
/// # Errors
/// [`Error::NotConverged`] where `f` does not reach `z`, and those of `f`.
pub(crate) fn inverse(z: &Tensor, f: impl Fn(&Tensor) -> Result<At>) -> Result<Mapped> {
    let root = solve(z, &f)?;
    let value = polish(&root, |x| {
        let at = f(x)?;
        Ok(x.f_sub(&((at.value - z) * (-at.log_slope).f_exp()?))?)
    })?;
    let log_det = -sum(&f(&value)?.log_slope)?;
    Ok(Mapped { value, log_det })
}

pub(crate) fn sum(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?)
}

/// Largest number of doublings of a bracket, and of steps in it.
const DOUBLINGS: usize = 60;
const STEPS: usize = 200;

/// Newton's iteration inside a bracket that each evaluation narrows; every third step halves the
/// bracket, so that it ends wherever the slope misleads. Without a graph.
fn solve(z: &Tensor, f: &impl Fn(&Tensor) -> Result<At>) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let z = z.f_detach()?;
    if z.numel() == 0 {
        return Ok(z);
    }
    let (mut low, mut high) = (end(&z, f, -1.0)?, end(&z, f, 1.0)?);
    let mut x = (&low + &high) * 0.5;
    let digits = if z.kind() == Kind::Double { 1e-12 } else { 1e-6 };
    for step in 0..STEPS {
        let at = f(&x)?;
        let off = at.value - &z;
        let below = off.f_lt(0.0)?;
        low = x.f_where_self(&below, &low)?;
        high = high.f_where_self(&below, &x)?;
        let middle = (&low + &high) * 0.5;
        let next = if step % 3 == 2 {
            middle
        } else {
            let newton = &x - off * (-at.log_slope).f_exp()?;
            let inside = newton.f_gt_tensor(&low)?.f_logical_and(&newton.f_lt_tensor(&high)?)?;
            newton.f_where_self(&inside, &middle)?
        };
        let moved = (&next - &x).f_abs()? / (x.f_abs()? + 1.0);
        x = next;
        // A halving that moves little has a narrow bracket; a Newton step that does is at the root.
        if host::scalar(&moved.f_max()?)? < digits {
            break;
        }
    }
    Ok(x)
}

/// An end of the bracket on the side of `sign`, doubled until `f` is beyond `z` there.
fn end(z: &Tensor, f: &impl Fn(&Tensor) -> Result<At>, sign: f64) -> Result<Tensor> {
    let mut x = z.f_full_like(sign)?;
    for _ in 0..DOUBLINGS {
        let value = f(&x)?.value;
        let short = if sign > 0.0 { value.f_lt_tensor(z)? } else { value.f_gt_tensor(z)? };
        if host::scalar(&short.f_any()?.f_to_kind(Kind::Double)?)? == 0.0 {
            return Ok(x);
        }
        x = (&x * 2.0).f_where_self(&short, &x)?;
    }
    Err(Error::NotConverged { what: "bracket of an inverse".to_owned(), steps: DOUBLINGS })
}
