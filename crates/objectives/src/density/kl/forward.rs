//! The forward Kullback–Leibler divergence.

use super::path::{Estimator, for_base, scored, surrogate};
use crate::density::energy::Force;
use maxlik_model::{Batch, Energy, Loss, Objective, PathDensity};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `−E_p[ln q(x)] = KL(p ‖ q) + H(p)` over data of a target whose energy is known, in nats. With
/// [`Estimator::Standard`] it is [`crate::density::MaximumLikelihood`].
///
/// Path gradients use the target's force. The map pulls `p` back to a density `p₀` of latents, and
/// `KL(p ‖ q) = KL(p₀ ‖ q₀)`; the gradient is `mean ⟨G_z, ∂f_θ(x)/∂θ⟩` with
/// `G_z = ∇_z (ln p₀ − ln q₀)` held fixed (Vaitl et al. 2024, arXiv:2403.15881, section 4), or the same
/// in data space: `mean ⟨G, ∂g_θ(z)/∂θ⟩` with `G = ∇ₓ (ln q + E)` and `z = f(x)` held fixed. Parameters
/// of the base get their gradient from `−ln q₀(z)`.
#[derive(Debug)]
pub struct ForwardKl {
    target: Box<dyn Energy>,
    estimator: Estimator,
}

impl ForwardKl {
    /// The divergence from the density of this energy.
    #[must_use]
    pub fn new(target: Box<dyn Energy>, estimator: Estimator) -> Self {
        Self { target, estimator }
    }

    fn path(
        &self,
        model: &dyn PathDensity,
        x: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (base, inner) = (model.base(), for_base(model, context));
        let force = Force::of(self.target.as_ref(), x, context)?.gradient;
        let (log_prob, pull, point, z) = if self.estimator == Estimator::FastPath {
            let there = model.map_score(x, &-force, context)?;
            let z = there.mapped.value.f_detach()?;
            let (latent, score) = scored(&z, |z| base.log_density(z, inner))?;
            let log_prob = latent.f_add(&there.mapped.log_det.f_detach()?)?;
            (log_prob, there.score.f_sub(&score)?, there.mapped.value, z)
        } else {
            let (log_prob, score) = scored(x, |x| model.log_density(x, context))?;
            let z = {
                let _no_grad = tch::no_grad_guard();
                model.to_latent(x, context)?
            };
            let back = model.to_data(&z, context)?;
            (log_prob, score.f_add(&force)?, back, z)
        };
        let value = surrogate(&-log_prob.f_mean(None::<Kind>)?, &pull, &point)?;
        let trained = base.log_density(&z, inner)?.f_mean(None::<Kind>)?;
        Ok(value.f_sub(&trained)?.f_add(&trained.f_detach()?)?)
    }
}

impl Objective<dyn PathDensity> for ForwardKl {
    fn loss(&self, model: &(dyn PathDensity + 'static), batch: &Batch) -> Result<Loss> {
        let (x, context) = (&batch.data, batch.context.as_ref());
        if x.size().first() == Some(&0) {
            return Err(Error::shape("data", "a batch of at least one row", &x.size()));
        }
        let value = match self.estimator {
            Estimator::Standard => -model.log_prob(x, context)?.f_mean(None::<Kind>)?,
            Estimator::Path | Estimator::FastPath => {
                maxlik_tensor::check::batch_of("x", x, model.event_shape())?;
                maxlik_tensor::check::context(x, context, model.context_shape())?;
                self.path(model, x, context)?
            }
        };
        Ok(Loss { value, metrics: Vec::new() })
    }
}
