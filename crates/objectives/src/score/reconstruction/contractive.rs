//! Contractive auto-encoders.

use super::positive;
use crate::score::sum_events;
use maxlik_model::{Batch, Loss, Objective, Reconstruct};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{self, Graph};
use maxlik_tensor::trace::Probe;
use tch::{Kind, Tensor};

/// `E[‖r(x) − x‖² + σ² ‖∂r/∂x‖²_F]` (Alain and Bengio 2014, arXiv:1211.4246, eq. 6): the denoising
/// loss to second order in `σ`. The penalty is on the whole map `r`, not on an encoder.
///
/// The Frobenius norm is `E‖vᵀ ∂r/∂x‖²` over a random `v` with `E[v vᵀ] = I`: one differentiable
/// backward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ContractiveReconstruction {
    sigma: f64,
}

impl ContractiveReconstruction {
    /// The loss with this weight `σ`.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for a weight that is not positive.
    pub fn new(sigma: f64) -> Result<Self> {
        Ok(Self { sigma: positive("sigma", sigma)? })
    }

    /// The loss of each row, `[B]`, for given directions `v` of the shape of `x`.
    ///
    /// # Errors
    /// Those of the model.
    pub fn each(
        &self,
        model: &dyn Reconstruct,
        x: &Tensor,
        context: Option<&Tensor>,
        v: &Tensor,
    ) -> Result<Tensor> {
        autograd::recorded(|| {
            let x = autograd::leaf(x)?;
            let back = model.reconstruct(&x, context)?;
            let pulled = autograd::gradient(&back, Some(v), &x, Graph::Differentiable)?;
            let distance = sum_events(&back.f_sub(&x)?.f_square()?)?;
            Ok(distance + sum_events(&pulled.f_square()?)? * (self.sigma * self.sigma))
        })
    }
}

impl Objective<dyn Reconstruct> for ContractiveReconstruction {
    fn loss(&self, model: &(dyn Reconstruct + 'static), batch: &Batch) -> Result<Loss> {
        let v = Probe::Rademacher.draw(&batch.data)?;
        let each = self.each(model, &batch.data, batch.context.as_ref(), &v)?;
        Ok(Loss { value: each.f_mean(None::<Kind>)?, metrics: Vec::new() })
    }
}
