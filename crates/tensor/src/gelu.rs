//! Gaussian error linear units as one fused, differentiable op.

use crate::custom::{Forward, FusedOp, apply, parallel};
use crate::host::{Shared, slice, slice_mut};
use crate::kernels::gelu::{Exact, Gate, Tanh, backward, forward};
use crate::kernels::simd::dispatch;
use crate::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Which function stands for the normal distribution's `Φ` in `x Φ(x)` (Hendrycks and Gimpel 2016,
/// "Gaussian error linear units", arXiv:1606.08415).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gelu {
    /// `Φ` itself.
    #[default]
    Exact,
    /// `½ (1 + tanh(√(2/π) (x + 0.044715 x³)))`, as GPT-2 has it.
    Tanh,
}

impl Gelu {
    /// `x Φ(x)`, of any shape.
    ///
    /// In `f32` on the CPU it is a kernel of ours with an absolute error of `Φ` below 2e-7; elsewhere
    /// it is LibTorch's.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        if x.device() != Device::Cpu || x.kind() != Kind::Float {
            return Ok(x.f_gelu(self.name())?);
        }
        let out = apply(Op(self), &[x])?.into_iter().next();
        out.ok_or_else(|| Error::unsupported("a GELU without an output"))
    }

    /// The same without a graph.
    pub(crate) fn value(self, x: &Tensor) -> Result<Tensor> {
        match (x.kind(), self) {
            (Kind::Float, Self::Exact) => forward_as::<Exact>(x),
            (Kind::Float, Self::Tanh) => forward_as::<Tanh>(x),
            _ => Ok(x.f_gelu(self.name())?),
        }
    }

    /// `grad · d(x Φ(x))/dx`, without a graph.
    pub(crate) fn gradient(self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        match (x.kind(), self) {
            (Kind::Float, Self::Exact) => backward_as::<Exact>(x, grad),
            (Kind::Float, Self::Tanh) => backward_as::<Tanh>(x, grad),
            _ => Ok(x.f_gelu_backward(grad, self.name())?),
        }
    }

    /// LibTorch's name of the approximation.
    fn name(self) -> &'static str {
        match self {
            Self::Exact => "none",
            Self::Tanh => "tanh",
        }
    }
}

/// Elements that are worth a thread of their own.
const GRAIN: usize = 16_384;

#[derive(Debug)]
struct Op(Gelu);

fn only<'a>(what: &str, tensors: &'a [Tensor]) -> Result<&'a Tensor> {
    tensors.first().ok_or_else(|| Error::unsupported(format!("a GELU without its {what}")))
}

fn forward_as<G: Gate>(x: &Tensor) -> Result<Tensor> {
    let x = x.f_contiguous()?;
    let mut out = x.f_empty_like()?;
    {
        let x = slice::<f32>("x", &x)?;
        let out = Shared::new(slice_mut::<f32>("gelu", &mut out)?);
        parallel(x.len(), GRAIN, &|begin, end| {
            #[allow(unsafe_code, reason = "disjoint ranges of the output")]
            // SAFETY: LibTorch gives each thread a range of elements of its own.
            let out = unsafe { out.part(begin, end) };
            dispatch(
                #[inline(always)]
                || forward::<G>(&x[begin..end], out),
            );
        });
    }
    Ok(out)
}

fn backward_as<G: Gate>(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (x, grad) = (x.f_contiguous()?, grad.f_contiguous()?);
    let mut out = x.f_empty_like()?;
    {
        let (x, grad) = (slice::<f32>("x", &x)?, slice::<f32>("grad", &grad)?);
        let out = Shared::new(slice_mut::<f32>("grad x", &mut out)?);
        parallel(x.len(), GRAIN, &|begin, end| {
            #[allow(unsafe_code, reason = "disjoint ranges of the output")]
            // SAFETY: LibTorch gives each thread a range of elements of its own.
            let out = unsafe { out.part(begin, end) };
            dispatch(
                #[inline(always)]
                || backward::<G>(&x[begin..end], &grad[begin..end], out),
            );
        });
    }
    Ok(out)
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let out = self.0.value(only("input", inputs)?)?;
        Ok(Forward { outputs: vec![out], saved: Vec::new() })
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let out = self.0.gradient(only("input", inputs)?, only("gradient", grads)?)?;
        Ok(vec![Some(out)])
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![only("input", inputs)?.f_gelu(self.0.name())?])
    }
}
