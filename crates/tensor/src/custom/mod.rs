//! Custom autograd ops: a fused Rust kernel in place of many small tensor ops.

mod ffi;

use crate::Result;
use tch::{Device, Kind, Tensor};

/// What the forward kernel of a [`FusedOp`] returns.
#[derive(Debug)]
pub struct Forward {
    /// The op's outputs; their number is fixed for an op.
    pub outputs: Vec<Tensor>,
    /// Intermediates that the backward kernel wants again.
    pub saved: Vec<Tensor>,
}

/// A differentiable op with hand-written kernels.
///
/// The kernels see contiguous or strided CPU tensors in `f32` or `f64`, never a graph. On other
/// devices and dtypes, in mixed precision, and where a second derivative is asked for, [`apply`] takes
/// [`FusedOp::compose`], the same function as a composition of tensor ops: it is also the reference
/// that tests compare the kernels with.
pub trait FusedOp: Send + 'static {
    /// The outputs, and what the backward pass needs beside the inputs.
    ///
    /// # Errors
    /// Whatever the kernel cannot do; shapes are checked by the op's public function.
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward>;

    /// The gradient for each input (`None` where there is none), given those of the outputs.
    ///
    /// # Errors
    /// Whatever the kernel cannot do.
    fn backward(
        &self,
        inputs: &[Tensor],
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>>;

    /// The same function as a composition of tensor ops.
    ///
    /// # Errors
    /// Those of the tensor ops.
    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>>;
}

/// Applies `op`, recording it in the autograd graph where an input requires a gradient.
///
/// # Errors
/// Those of the op.
pub fn apply(op: impl FusedOp, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let fused = !autocast_enabled()
        && inputs.iter().all(|x| x.device() == Device::Cpu)
        && matches!(inputs.first().map(|x| x.kind()), Some(Kind::Float | Kind::Double));
    if !fused {
        let owned: Vec<Tensor> = inputs.iter().map(|x| x.shallow_clone()).collect();
        return op.compose(&owned);
    }
    if !inputs.iter().any(|x| x.requires_grad()) || !grad_enabled() {
        let owned: Vec<Tensor> = inputs.iter().map(|x| x.detach()).collect();
        return Ok(op.forward(&owned)?.outputs);
    }
    ffi::apply(op, inputs)
}

pub(crate) use ffi::{
    Moments, Rates, adamw, autocast_enabled, grad, grad_enabled, parallel, set_autocast,
};
