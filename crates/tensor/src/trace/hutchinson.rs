//! Hutchinson's estimator.

use super::row_product;
use crate::autograd::{Graph, gradient};
use crate::{Error, Result, check};
use tch::Tensor;

/// `vᵀ J v` for each row of a recorded `value = f(x)`, shape `[B]`: an estimate of `tr ∂f/∂x` for a
/// probe `v` `[B, …]` with unit covariance, or the mean over probes `[S, B, …]` (Hutchinson 1989,
/// "A stochastic estimator of the trace"; Grathwohl et al. 2019, "FFJORD", arXiv:1810.01367, eq. 7).
///
/// One backward pass a probe.
///
/// # Errors
/// [`Error::Shape`] where `value` or the probes do not fit `x`.
pub fn hutchinson(value: &Tensor, x: &Tensor, probes: &Tensor, graph: Graph) -> Result<Tensor> {
    check::shape("f(x)", value, &x.size())?;
    let each = each_probe("probes", probes, x)?;
    let keep = if graph == Graph::Free { Graph::Keep } else { graph };
    let mut sum: Option<Tensor> = None;
    for probe in &each {
        let one = row_product(&gradient(value, Some(probe), x, keep)?, probe)?;
        sum = Some(match sum {
            Some(before) => before.f_add(&one)?,
            None => one,
        });
    }
    let sum = sum.ok_or_else(|| Error::shape("probes", "at least one", &probes.size()))?;
    Ok(if each.len() == 1 { sum } else { sum / each.len() as f64 })
}

/// The probes one by one, each of the shape of `x`.
pub(super) fn each_probe(what: &str, probes: &Tensor, x: &Tensor) -> Result<Vec<Tensor>> {
    if probes.size() == x.size() {
        return Ok(vec![probes.shallow_clone()]);
    }
    match probes.size().split_first() {
        Some((&count, rest)) if rest == x.size().as_slice() && count > 0 => Ok(probes.f_unbind(0)?),
        _ => Err(Error::shape(
            what,
            format!("[S, …] or […] with … = {:?}", x.size()),
            &probes.size(),
        )),
    }
}
