//! Hutch++.

use super::hutchinson::each_probe;
use crate::autograd::{Graph, gradient};
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// The trace of `J = ∂f/∂x` for each row of a recorded `value = f(x)`, shape `[B]` (Meyer et al. 2021,
/// "Hutch++: optimal stochastic trace estimation", arXiv:2010.09649, algorithm 1).
///
/// `Q` is an orthonormal basis of `Jᵀ S`; the trace on its span is exact, and the rest is estimated:
/// `tr(Qᵀ Jᵀ Q) + (1/m) tr(Gᵀ (I − QQᵀ) Jᵀ (I − QQᵀ) G)`. `sketch` `S` and `probes` `G` are
/// `[m, B, …]`, drawn independently of each other, with `m ≤ D`. Unbiased; exact where `J` has at
/// most rank `m`. `3m` backward passes, and a QR of `D × m` for each row.
///
/// # Errors
/// [`Error::Shape`] where arguments do not fit `x`, or more probes come than `x` has entries.
pub fn hutch_plus_plus(
    value: &Tensor,
    x: &Tensor,
    sketch: &Tensor,
    probes: &Tensor,
    graph: Graph,
) -> Result<Tensor> {
    check::shape("f(x)", value, &x.size())?;
    let size = x.size();
    let (batch, dims) = (size[0], size[1..].iter().product::<i64>());
    let columns = |what: &str, probes: &Tensor| -> Result<Tensor> {
        let each = each_probe(what, probes, x)?;
        if each.len() as i64 > dims {
            return Err(Error::shape(what, format!("at most {dims} probes"), &probes.size()));
        }
        Ok(Tensor::f_stack(&each, -1)?.f_reshape([batch, dims, each.len() as i64])?)
    };
    let keep = if graph == Graph::Free { Graph::Keep } else { graph };
    // Jᵀ applied to the columns of m, `[B, D, m] → [B, D, m]`.
    let product = |m: &Tensor| -> Result<Tensor> {
        let vectors = m.f_unbind(-1)?;
        let each = vectors.iter().map(|v| {
            let v = v.f_reshape(size.as_slice())?;
            Ok(gradient(value, Some(&v), x, keep)?.f_reshape([batch, dims])?)
        });
        Ok(Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, -1)?)
    };
    let g = columns("probes", probes)?;
    // The estimate is unbiased whatever Q is: no gradient has to pass through the factorisation.
    let (q, _) =
        Tensor::f_linalg_qr(&product(&columns("sketch", sketch)?)?.f_detach()?, "reduced")?;
    let rest = g.f_sub(&q.f_matmul(&q.f_transpose(-2, -1)?.f_matmul(&g)?)?)?;
    let trace = |m: &Tensor| -> Result<Tensor> {
        let each = m.f_mul(&product(m)?)?;
        Ok(each.f_sum_dim_intlist([-2_i64, -1].as_slice(), false, None::<Kind>)?)
    };
    Ok(trace(&q)?.f_add(&(trace(&rest)? / g.size()[2] as f64))?)
}
