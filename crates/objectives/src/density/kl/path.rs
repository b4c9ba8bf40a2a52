//! What the Kullback–Leibler objectives share.

use crate::density::energy::Force;
use crate::score::sum_events;
use maxlik_model::{Energy, PathDensity};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{self, Graph};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How the gradient of a Kullback–Leibler divergence is estimated. All have the same mean, and the
/// same value of the loss.
///
/// The total derivative is a path part, through the samples, and a part of the model's score
/// `∂ ln q/∂θ`, whose mean is zero. Path gradients leave the second out; where model and target agree
/// they vanish for every sample (Roeder et al. 2017, "Sticking the landing", arXiv:1703.09194).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// The total derivative.
    Standard,
    /// The path part, with `∇ₓ ln q(x)` by a second pass, through the inverse of the whole map: works
    /// for any map.
    Path,
    /// The path part, with `∇ₓ ln q(x)` carried along in the one pass (Vaitl et al. 2024, "Fast and
    /// unified path gradient estimators for normalizing flows", arXiv:2403.15881).
    #[default]
    FastPath,
}

/// The context, where that part of the model takes one.
pub(super) fn for_base<'c>(
    model: &dyn PathDensity,
    context: Option<&'c Tensor>,
) -> Option<&'c Tensor> {
    model.base().context_shape().and(context)
}

pub(super) fn for_transform<'c>(
    model: &dyn PathDensity,
    context: Option<&'c Tensor>,
) -> Option<&'c Tensor> {
    model.transform().context_shape().and(context)
}

/// Samples of the model with the target's energies.
#[derive(Debug)]
pub(super) struct Drawn {
    /// `x = g(z)`, with its graph.
    pub(super) x: Tensor,
    /// `ln q(x)`, `[B]`; with a graph for the standard estimator only.
    pub(super) log_prob: Tensor,
    /// `E(x)`, `[B]`; with a graph for the standard estimator only.
    pub(super) energy: Tensor,
    /// `∇ₓ (ln q + E)` without a graph, for path gradients.
    pub(super) force: Option<Tensor>,
}

impl Drawn {
    /// The samples whose latents are `z`, which carry a graph where the base is trained.
    pub(super) fn at(
        model: &dyn PathDensity,
        target: &dyn Energy,
        estimator: Estimator,
        z: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Self> {
        let (base, transform) = (model.base(), model.transform());
        let inner = for_base(model, context);
        match estimator {
            Estimator::Standard => {
                let mapped = transform.unmap(z, for_transform(model, context))?;
                let log_prob = base.log_density(z, inner)?.f_sub(&mapped.log_det)?;
                let energy = target.energy(&mapped.value, context)?;
                Ok(Self { x: mapped.value, log_prob, energy, force: None })
            }
            Estimator::Path => {
                let x = model.to_data(z, context)?;
                let (log_prob, score) = scored(&x, |x| model.log_density(x, context))?;
                Self::with_score(target, x, log_prob, &score, context)
            }
            Estimator::FastPath => {
                let (latent, score) = scored(z, |z| base.log_density(z, inner))?;
                let there = model.unmap_score(z, &score, context)?;
                let log_prob = latent.f_sub(&there.mapped.log_det.f_detach()?)?;
                Self::with_score(target, there.mapped.value, log_prob, &there.score, context)
            }
        }
    }

    fn with_score(
        target: &dyn Energy,
        x: Tensor,
        log_prob: Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Self> {
        let Force { energy, gradient } = Force::of(target, &x, context)?;
        let force = Some(score.f_add(&gradient)?);
        Ok(Self { x, log_prob, energy, force })
    }
}

/// A log-density `[B]` at `x` and its gradient by `x`, both without a graph.
pub(super) fn scored(
    x: &Tensor,
    log_density: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<(Tensor, Tensor)> {
    autograd::recorded(|| {
        let x = autograd::leaf(x)?;
        let log_prob = log_density(&x)?;
        let total = log_prob.f_sum(None::<Kind>)?;
        let score = autograd::gradient(&total, None, &x, Graph::Free)?;
        Ok((log_prob.f_detach()?, score.f_detach()?))
    })
}

/// A scalar of this value whose gradient is that of `mean ⟨G, y⟩`, `G` held fixed.
pub(super) fn surrogate(value: &Tensor, force: &Tensor, y: &Tensor) -> Result<Tensor> {
    let pulled = sum_events(&force.f_detach()?.f_mul(y)?)?.f_mean(None::<Kind>)?;
    Ok(value.f_detach()?.f_add(&pulled)?.f_sub(&pulled.f_detach()?)?)
}
