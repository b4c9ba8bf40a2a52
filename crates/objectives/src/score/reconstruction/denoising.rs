//! Denoising auto-encoders.

use super::positive;
use crate::score::sum_events;
use maxlik_model::{Batch, Loss, Objective, Reconstruct};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `E‖r(x + σε) − x‖²` with `ε ~ N(0, I)`, summed over coordinates (Alain and Bengio 2014,
/// arXiv:1211.4246, eq. 3). Its optimum is `E[x | x + σε]`.
///
/// With `s = (r(x) − x)/σ²` it is `2σ⁴` times [`crate::score::DenoisingScoreMatching`], for each noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenoisingReconstruction {
    sigma: f64,
}

impl DenoisingReconstruction {
    /// The loss with this noise.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for a noise that is not positive.
    pub fn new(sigma: f64) -> Result<Self> {
        Ok(Self { sigma: positive("sigma", sigma)? })
    }

    /// The loss of each row, `[B]`, for given `ε` of the shape of `x`.
    ///
    /// # Errors
    /// Those of the model.
    pub fn each(
        &self,
        model: &dyn Reconstruct,
        x: &Tensor,
        context: Option<&Tensor>,
        noise: &Tensor,
    ) -> Result<Tensor> {
        let back = model.reconstruct(&(x + noise * self.sigma), context)?;
        sum_events(&back.f_sub(x)?.f_square()?)
    }
}

impl Objective<dyn Reconstruct> for DenoisingReconstruction {
    fn loss(&self, model: &(dyn Reconstruct + 'static), batch: &Batch) -> Result<Loss> {
        let noise = batch.data.f_randn_like()?;
        let each = self.each(model, &batch.data, batch.context.as_ref(), &noise)?;
        Ok(Loss { value: each.f_mean(None::<Kind>)?, metrics: Vec::new() })
    }
}
