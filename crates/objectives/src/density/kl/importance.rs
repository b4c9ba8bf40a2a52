//! Importance-weighted bounds.

use super::path::{Drawn, Estimator, for_base};
use crate::score::sum_events;
use maxlik_model::{Batch, Energy, Loss, Objective, PathDensity};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `−E[ln (1/K) Σ_k w_k]` with `w_k = e^{−E(x_k)}/q(x_k)` over `K` samples of the model, in nats (Burda et
/// al. 2016, "Importance weighted autoencoders", arXiv:1509.00519, eq. 8): a bound on `−ln Z` that
/// falls with `K`, and [`super::ReverseKl`] for `K = 1`. As many groups of `K` as the batch has rows.
///
/// Path gradients are doubly reparameterised: `Σ_k w̃_k² ⟨G(x_k), ∂g_θ(z_k)/∂θ⟩` with the normalised
/// weights `w̃` and `G = ∇ₓ (ln q + E)` held fixed (Tucker et al. 2019, "Doubly reparameterized gradient
/// estimators for Monte Carlo objectives", arXiv:1810.04152, eq. 8); their noise does not grow with
/// `K` where that of the total derivative does.
#[derive(Debug)]
pub struct ImportanceWeighted {
    target: Box<dyn Energy>,
    samples: i64,
    estimator: Estimator,
}

impl ImportanceWeighted {
    /// The bound with `samples` samples in each group.
    ///
    /// # Errors
    /// [`Error::Config`] for no samples.
    pub fn new(target: Box<dyn Energy>, samples: i64, estimator: Estimator) -> Result<Self> {
        if samples < 1 {
            let why = format!("expected at least one sample, got {samples}");
            return Err(Error::config("samples", why));
        }
        Ok(Self { target, samples, estimator })
    }

    /// The loss at given latents `z` `[B K, …]`, those of a group one after another, with as many
    /// rows of context.
    ///
    /// # Errors
    /// Those of model and energy.
    pub fn loss_at(
        &self,
        model: &dyn PathDensity,
        z: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Tensor> {
        let drawn = Drawn::at(model, self.target.as_ref(), self.estimator, z, context)?;
        let log_weights = -drawn.energy.f_add(&drawn.log_prob)?.f_view([-1, self.samples])?;
        let groups = log_weights.f_logsumexp([1_i64].as_slice(), false)?;
        let value = -(groups - (self.samples as f64).ln()).f_mean(None::<Kind>)?;
        let Some(force) = &drawn.force else { return Ok(value) };
        let shares = log_weights.f_softmax(1, None::<Kind>)?.f_square()?;
        let pulled = sum_events(&force.f_mul(&drawn.x)?)?.f_view([-1, self.samples])?;
        let pulled = pulled.f_mul(&shares)?;
        let pulled = pulled.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
        let pulled = pulled.f_mean(None::<Kind>)?;
        Ok(value.f_add(&pulled)?.f_sub(&pulled.f_detach()?)?)
    }
}

impl Objective<dyn PathDensity> for ImportanceWeighted {
    fn loss(&self, model: &(dyn PathDensity + 'static), batch: &Batch) -> Result<Loss> {
        let rows = batch.data.size().first().copied().unwrap_or_default();
        if rows == 0 {
            return Err(Error::shape("data", "a batch of at least one row", &batch.data.size()));
        }
        let context = batch.context.as_ref();
        let context = context.map(|c| c.f_repeat_interleave_self_int(self.samples, 0, None));
        let context = context.transpose()?;
        let inner = for_base(model, context.as_ref());
        let z = model.base().rsample_and_log_prob(rows * self.samples, inner)?.value;
        let value = self.loss_at(model, &z, context.as_ref())?;
        Ok(Loss { value, metrics: Vec::new() })
    }
}
