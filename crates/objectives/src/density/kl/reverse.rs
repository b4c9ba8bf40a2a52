//! The reverse Kullback–Leibler divergence.

use super::path::{Drawn, Estimator, for_base, surrogate};
use super::reverse_ess;
use maxlik_model::{Batch, Energy, Loss, Metric, Objective, PathDensity};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `E_q[E(x) + ln q(x)] = KL(q ‖ p) − ln Z` with `p = e^{−E}/Z`, in nats: fits a density to an energy by
/// samples of its own, as many as the batch has rows; of the batch only the context is used.
///
/// Path gradients are `mean ⟨G(x), ∂g_θ(z)/∂θ⟩` with `G = ∇ₓ (ln q + E)` held fixed (Vaitl et al. 2024,
/// arXiv:2403.15881, eq. 6). The metric `ess` is the effective part of the samples, up to one.
#[derive(Debug)]
pub struct ReverseKl {
    target: Box<dyn Energy>,
    estimator: Estimator,
}

impl ReverseKl {
    /// The divergence to this energy.
    #[must_use]
    pub fn new(target: Box<dyn Energy>, estimator: Estimator) -> Self {
        Self { target, estimator }
    }

    /// The loss at given latents `z` `[B, …]`; those of a trained base carry its graph.
    ///
    /// # Errors
    /// Those of model and energy.
    pub fn loss_at(
        &self,
        model: &dyn PathDensity,
        z: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Loss> {
        let drawn = Drawn::at(model, self.target.as_ref(), self.estimator, z, context)?;
        let each = drawn.energy.f_add(&drawn.log_prob)?;
        let mean = each.f_mean(None::<Kind>)?;
        let value = match &drawn.force {
            None => mean,
            Some(force) => surrogate(&mean, force, &drawn.x)?,
        };
        let ess = reverse_ess(&-each.f_detach()?)?;
        let metrics =
            vec![Metric { name: "ess", value: Tensor::f_from_slice(&[ess])?.f_squeeze()? }];
        Ok(Loss { value, metrics })
    }
}

impl Objective<dyn PathDensity> for ReverseKl {
    fn loss(&self, model: &(dyn PathDensity + 'static), batch: &Batch) -> Result<Loss> {
        let rows = batch.data.size().first().copied().unwrap_or_default();
        if rows == 0 {
            return Err(Error::shape("data", "a batch of at least one row", &batch.data.size()));
        }
        let context = batch.context.as_ref();
        let z = model.base().rsample_and_log_prob(rows, for_base(model, context))?.value;
        self.loss_at(model, &z, context)
    }
}
