//! What a conditioner is, and the context that goes into it.

use maxlik_tensor::Result;
use std::fmt::Debug;
use tch::Tensor;

/// A map of `[B, inputs]`, with an optional context `[B, context]`, to `[B, outputs]`.
pub trait Network: Debug + Send {
    /// Applies the network.
    ///
    /// # Errors
    /// LibTorch's, for tensors that do not fit.
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;
}

/// `x` with the context appended to each row.
pub(crate) fn join(x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
    match context {
        Some(context) => Ok(Tensor::f_cat(&[x, context], -1)?),
        None => Ok(x.shallow_clone()),
    }
}
