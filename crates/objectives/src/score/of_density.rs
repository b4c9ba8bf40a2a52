//! A density as a score and as an energy.

use super::PointFn;
use maxlik_model::{Density, Energy, Score};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{self, Graph};
use tch::{Kind, Tensor};

/// The score `∇ₓ ln p(x)` (by autograd) and the energy `−ln p(x) + const` of a density.
///
/// Both come from [`Density::unnormalized_log_prob`]: determinants that do not depend on `x`, such as
/// those of linear layers, are not computed. Training a flow this way by score matching is EBFlow
/// (Chao et al. 2023, "Training energy-based normalizing flow with score-matching objectives",
/// arXiv:2305.15267): a step costs `O(D²)` for each sample where likelihood costs `O(D³)` on top.
///
/// The score is differentiable by the parameters, and by `x` where `x` requires a gradient.
#[derive(Debug)]
pub struct ScoreOf<D>(pub D);

impl<D: Density> Score for ScoreOf<D> {
    fn score(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        score_of(&|x, context| self.0.unnormalized_log_prob(x, context), x, context)
    }
}

impl<D: Density> Energy for ScoreOf<D> {
    fn energy(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        Ok(-self.0.unnormalized_log_prob(x, context)?)
    }
}

/// The gradient of a log-density `[B]` by its points, differentiable.
pub(super) fn score_of(
    log_density: &PointFn<'_>,
    x: &Tensor,
    context: Option<&Tensor>,
) -> Result<Tensor> {
    autograd::recorded(|| {
        let x = if x.requires_grad() { x.shallow_clone() } else { autograd::leaf(x)? };
        let log_prob = log_density(&x, context)?.f_sum(None::<Kind>)?;
        autograd::gradient(&log_prob, None, &x, Graph::Differentiable)
    })
}
