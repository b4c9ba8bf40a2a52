//! Shift and scale with their log-determinant as one fused, differentiable op.

use crate::custom::{Forward, FusedOp, apply, parallel};
use crate::host::{Shared, slice, slice_mut};
use crate::kernels::affine::{Rows, backward, forward};
use crate::kernels::real::Real;
use crate::kernels::simd::dispatch;
use crate::spline::Elementwise;
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// How a raw number `a` becomes a positive scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// `ln scale = a / (1 + |a / ln slope|)`: between `slope` and `1/slope`.
    SoftClip {
        /// The least scale, between 0 and 1.
        slope: f64,
    },
    /// `scale = sigmoid(a + 2) + floor`.
    Sigmoid {
        /// Added to the sigmoid.
        floor: f64,
    },
    /// `scale = softplus(a) + floor`.
    Softplus {
        /// Added to the softplus.
        floor: f64,
    },
    /// `scale = eᵃ`.
    Exp,
}

/// `z = x · scale(a) + b` for each of `[B, D]` elements, with parameters `[B, D, 2]`: `b`, then `a`
/// (Dinh et al. 2017, arXiv:1605.08803, eqs. 7–8). `ln |det| = Σ_d ln scale(a_d)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// How `a` becomes the scale.
    pub scale: Scale,
}

impl Affine {
    /// Data to latent: `x` is `[B, D]`, `params` is `[B, D, 2]`.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] for arguments that do not fit.
    pub fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Elementwise> {
        self.run(x, params, false)
    }

    /// Latent to data; `log_det` is that of the inverse map.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Elementwise> {
        self.run(z, params, true)
    }

    /// The same as a composition of tensor ops: the reference, and the path on other devices.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn compose(&self, x: &Tensor, params: &Tensor, inverse: bool) -> Result<Elementwise> {
        check_arguments(x, params)?;
        let (shift, raw) = (params.f_select(-1, 0)?, params.f_select(-1, 1)?);
        let (scale, log) = match self.scale {
            Scale::SoftClip { slope } => {
                let log = &raw / ((&raw / slope.ln()).f_abs()? + 1.0);
                (log.f_exp()?, log)
            }
            Scale::Sigmoid { floor } => with_log((raw + 2.0).f_sigmoid()? + floor)?,
            Scale::Softplus { floor } => with_log(raw.f_softplus()? + floor)?,
            Scale::Exp => (raw.f_exp()?, raw),
        };
        let log_det = log.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?;
        Ok(if inverse {
            Elementwise { value: (x - shift) / scale, log_det: -log_det }
        } else {
            Elementwise { value: shift.f_addcmul(x, &scale)?, log_det }
        })
    }

    fn run(&self, x: &Tensor, params: &Tensor, inverse: bool) -> Result<Elementwise> {
        check_arguments(x, params)?;
        let mut outputs = apply(Op { map: *self, inverse }, &[x, params])?.into_iter();
        match (outputs.next(), outputs.next()) {
            (Some(value), Some(log_det)) => Ok(Elementwise { value, log_det }),
            _ => Err(Error::unsupported("an affine map without its two outputs")),
        }
    }
}

fn with_log(scale: Tensor) -> Result<(Tensor, Tensor)> {
    let log = scale.f_log()?;
    Ok((scale, log))
}

fn check_arguments(x: &Tensor, params: &Tensor) -> Result<()> {
    check::floating("x", x)?;
    let &[batch, dims] = x.size().as_slice() else {
        return Err(Error::shape("x", "[B, D]", &x.size()));
    };
    check::shape("affine parameters", params, &[batch, dims, 2])?;
    check::alike("affine parameters", params, x)
}

#[derive(Debug)]
struct Op {
    map: Affine,
    inverse: bool,
}

/// Rows that are worth a thread of their own.
fn grain(dims: usize) -> usize {
    (8192 / dims.max(1)).max(1)
}

impl Op {
    fn forward_as<T: Real>(&self, x: &Tensor, params: &Tensor) -> Result<Forward> {
        let (x, params) = (x.f_contiguous()?, params.f_contiguous()?);
        let (batch, dims) = (x.size()[0], x.size()[1].max(0) as usize);
        let mut value = x.f_empty_like()?;
        let mut log_det = Tensor::f_empty([batch], (x.kind(), x.device()))?;
        {
            let (xs, ps) = (slice::<T>("x", &x)?, slice::<T>("params", &params)?);
            let out = Shared::new(slice_mut::<T>("value", &mut value)?);
            let log = Shared::new(slice_mut::<T>("log_det", &mut log_det)?);
            parallel(batch.max(0) as usize, grain(dims), &|begin, end| {
                let (from, to) = (begin * dims, end * dims);
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of rows of its own.
                let (out, log) = unsafe { (out.part(from, to), log.part(begin, end)) };
                let rows = Rows { x: &xs[from..to], params: &ps[2 * from..2 * to], dims };
                dispatch(
                    #[inline(always)]
                    || forward(self.map.scale, &rows, self.inverse, out, log),
                );
            });
        }
        // The adjoint works on the data side of the map, whichever direction was taken.
        let saved = if self.inverse { vec![value.shallow_clone()] } else { Vec::new() };
        Ok(Forward { outputs: vec![value, log_det], saved })
    }

    fn backward_as<T: Real>(
        &self,
        x: &Tensor,
        params: &Tensor,
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let [grad_value, grad_log] = grads else {
            return Err(Error::unsupported("an affine gradient without two cotangents"));
        };
        let (x, params) = (x.f_contiguous()?, params.f_contiguous()?);
        let dims = x.size()[1].max(0) as usize;
        let (grad_value, grad_log) = (grad_value.f_contiguous()?, grad_log.f_contiguous()?);
        let (mut grad_x, mut grad_params) = (x.f_empty_like()?, params.f_empty_like()?);
        {
            let (xs, ps) = (slice::<T>("x", &x)?, slice::<T>("params", &params)?);
            let (gy, gl) = (slice::<T>("grad", &grad_value)?, slice::<T>("grad", &grad_log)?);
            let gx = Shared::new(slice_mut::<T>("grad x", &mut grad_x)?);
            let gp = Shared::new(slice_mut::<T>("grad params", &mut grad_params)?);
            parallel(gl.len(), grain(dims), &|begin, end| {
                let (from, to) = (begin * dims, end * dims);
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of rows of its own.
                let (gx, gp) = unsafe { (gx.part(from, to), gp.part(2 * from, 2 * to)) };
                let rows = Rows { x: &xs[from..to], params: &ps[2 * from..2 * to], dims };
                let (gy, gl) = (&gy[from..to], &gl[begin..end]);
                dispatch(
                    #[inline(always)]
                    || backward(self.map.scale, &rows, self.inverse, gy, gl, gx, gp),
                );
            });
        }
        Ok(vec![Some(grad_x), Some(grad_params)])
    }
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let [x, params] = inputs else {
            return Err(Error::unsupported("an affine map of other inputs"));
        };
        match x.kind() {
            Kind::Float => self.forward_as::<f32>(x, params),
            _ => self.forward_as::<f64>(x, params),
        }
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let [x, params] = inputs else {
            return Err(Error::unsupported("an affine map of other inputs"));
        };
        let x = saved.first().unwrap_or(x);
        match x.kind() {
            Kind::Float => self.backward_as::<f32>(x, params, grads),
            _ => self.backward_as::<f64>(x, params, grads),
        }
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let [x, params] = inputs else {
            return Err(Error::unsupported("an affine map of other inputs"));
        };
        let done = self.map.compose(x, params, self.inverse)?;
        Ok(vec![done.value, done.log_det])
    }
}
