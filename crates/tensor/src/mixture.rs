//! Log-sum-exp mixtures of logistics as one fused, differentiable op.

use crate::custom::{Forward, FusedOp, apply, parallel};
use crate::host::{Shared, slice, slice_mut};
use crate::kernels::mixture::Kernel;
use crate::kernels::real::Real;
use crate::kernels::simd::dispatch;
use crate::kernels::spline::LANES;
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// Logarithms of a mixture at points: of `F`, of `1 − F`, and of the density, each of the shape of
/// the points. Both tails are sums of logarithms, so that neither is rounded to zero.
#[derive(Debug)]
pub struct Logs {
    /// `ln F(x)`.
    pub below: Tensor,
    /// `ln (1 − F(x))`.
    pub above: Tensor,
    /// `ln F′(x)`.
    pub density: Tensor,
}

/// The mixture of `K` logistics `F(x) = Σ_k w_k σ((x − m_k) e^{−a_k})` with parameters of its own at
/// each point (Ho et al. 2019, "Flow++", arXiv:1902.00275, eqs. 10–11): `x` has any shape, `params`
/// one dimension more, of size `3K`: the logits of `w`, then `m`, then `a`.
///
/// # Errors
/// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] for arguments that do not fit.
pub fn logistic(x: &Tensor, params: &Tensor) -> Result<Logs> {
    let mut outputs = apply(Op, &check_arguments(x, params)?)?.into_iter();
    match (outputs.next(), outputs.next(), outputs.next()) {
        (Some(below), Some(above), Some(density)) => Ok(Logs { below, above, density }),
        _ => Err(Error::unsupported("a mixture without its three outputs")),
    }
}

/// The same as a composition of tensor ops: the reference, and the path on other devices.
///
/// # Errors
/// As [`logistic`].
pub fn compose(x: &Tensor, params: &Tensor) -> Result<Logs> {
    check_arguments(x, params)?;
    let k = params.size().last().copied().unwrap_or_default() / 3;
    let log_weight = params.f_narrow(-1, 0, k)?.f_log_softmax(-1, None::<Kind>)?;
    let (location, log_scale) = (params.f_narrow(-1, k, k)?, params.f_narrow(-1, 2 * k, k)?);
    let unit = (x.f_unsqueeze(-1)? - location) * (-&log_scale).f_exp()?;
    let (below, above) = (unit.f_log_sigmoid()?, (-&unit).f_log_sigmoid()?);
    let density = &below + &above - log_scale;
    let mix = |each: &Tensor| -> Result<Tensor> {
        Ok((each + &log_weight).f_logsumexp([-1_i64].as_slice(), false)?)
    };
    Ok(Logs { below: mix(&below)?, above: mix(&above)?, density: mix(&density)? })
}

fn check_arguments<'a>(x: &'a Tensor, params: &'a Tensor) -> Result<[&'a Tensor; 2]> {
    check::floating("x", x)?;
    let last = params.size().last().copied().unwrap_or_default();
    if last < 3 || last % 3 != 0 {
        let got = params.size();
        return Err(Error::shape("mixture parameters", "[…, 3 · components]", &got));
    }
    let mut expected = x.size();
    expected.push(last);
    check::shape("mixture parameters", params, &expected)?;
    check::alike("mixture parameters", params, x)?;
    Ok([x, params])
}

#[derive(Debug)]
struct Op;

/// Points that are worth a thread of their own.
fn grain(components: usize) -> usize {
    (2048 / components.max(1)).max(1)
}

impl Op {
    fn forward_as<T: Real>(x: &Tensor, params: &Tensor) -> Result<Forward> {
        let (x, params) = (x.f_contiguous()?, params.f_contiguous()?);
        let mut outputs = [x.f_empty_like()?, x.f_empty_like()?, x.f_empty_like()?];
        {
            let (xs, ps) = (slice::<T>("x", &x)?, slice::<T>("params", &params)?);
            let width = params.size().last().map_or(3, |&width| width.max(3) as usize);
            let [below, above, density] = &mut outputs;
            let below = Shared::new(slice_mut::<T>("below", below)?);
            let above = Shared::new(slice_mut::<T>("above", above)?);
            let density = Shared::new(slice_mut::<T>("density", density)?);
            parallel(xs.len(), grain(width / 3), &|begin, end| {
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of points of its own.
                let (below, above, density) = unsafe {
                    (below.part(begin, end), above.part(begin, end), density.part(begin, end))
                };
                let mut kernel = Kernel::<T>::new(width / 3);
                dispatch(
                    #[inline(always)]
                    || {
                        for from in (begin..end).step_by(LANES) {
                            let to = (from + LANES).min(end);
                            let logs = kernel.logs(&xs[from..to], &ps[from * width..to * width]);
                            let (n, own) = (to - from, from - begin..to - begin);
                            below[own.clone()].copy_from_slice(&logs.below[..n]);
                            above[own.clone()].copy_from_slice(&logs.above[..n]);
                            density[own].copy_from_slice(&logs.density[..n]);
                        }
                    },
                );
            });
        }
        Ok(Forward { outputs: outputs.into(), saved: Vec::new() })
    }

    fn backward_as<T: Real>(
        x: &Tensor,
        params: &Tensor,
        grads: [&Tensor; 3],
    ) -> Result<Vec<Option<Tensor>>> {
        let (x, params) = (x.f_contiguous()?, params.f_contiguous()?);
        let [below, above, density] = grads;
        let (below, above, density) =
            (below.f_contiguous()?, above.f_contiguous()?, density.f_contiguous()?);
        let (mut grad_x, mut grad_params) = (x.f_empty_like()?, params.f_empty_like()?);
        {
            let (xs, ps) = (slice::<T>("x", &x)?, slice::<T>("params", &params)?);
            let (below, above) = (slice::<T>("grad", &below)?, slice::<T>("grad", &above)?);
            let density = slice::<T>("grad", &density)?;
            let width = params.size().last().map_or(3, |&width| width.max(3) as usize);
            let gx = Shared::new(slice_mut::<T>("grad x", &mut grad_x)?);
            let gp = Shared::new(slice_mut::<T>("grad params", &mut grad_params)?);
            parallel(xs.len(), grain(width / 3), &|begin, end| {
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of points of its own.
                let (gx, gp) =
                    unsafe { (gx.part(begin, end), gp.part(begin * width, end * width)) };
                let mut kernel = Kernel::<T>::new(width / 3);
                dispatch(
                    #[inline(always)]
                    || {
                        for from in (begin..end).step_by(LANES) {
                            let to = (from + LANES).min(end);
                            let grads = [below, above, density].map(|grad| &grad[from..to]);
                            let params = &ps[from * width..to * width];
                            let own = from - begin..to - begin;
                            let out = &mut gp[own.start * width..own.end * width];
                            let found = kernel.adjoint(&xs[from..to], params, grads, out);
                            gx[own].copy_from_slice(&found[..to - from]);
                        }
                    },
                );
            });
        }
        Ok(vec![Some(grad_x), Some(grad_params)])
    }
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        match inputs {
            [x, params] if x.kind() == Kind::Float => Self::forward_as::<f32>(x, params),
            [x, params] => Self::forward_as::<f64>(x, params),
            _ => Err(Error::unsupported("a mixture of other inputs")),
        }
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        match (inputs, grads) {
            ([x, params], [a, b, c]) if x.kind() == Kind::Float => {
                Self::backward_as::<f32>(x, params, [a, b, c])
            }
            ([x, params], [a, b, c]) => Self::backward_as::<f64>(x, params, [a, b, c]),
            _ => Err(Error::unsupported("a mixture's gradient of other inputs")),
        }
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let [x, params] = inputs else {
            return Err(Error::unsupported("a mixture of other inputs"));
        };
        let logs = compose(x, params)?;
        Ok(vec![logs.below, logs.above, logs.density])
    }
}
