//! A density as a score and as an energy.

use maxlik_model::{Density, Energy, Score};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{self, Graph};
use tch::{Kind, Tensor};

/// The score `∇ₓ ln p(x)` (by autograd) and the energy `−ln p(x)` of a density.
///
/// The score is differentiable by the parameters, and by `x` where `x` requires a gradient.
#[derive(Debug)]
pub struct ScoreOf<D>(pub D);

impl<D: Density> Score for ScoreOf<D> {
    fn score(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        autograd::recorded(|| {
            let x = if x.requires_grad() { x.shallow_clone() } else { autograd::leaf(x)? };
            let log_prob = self.0.log_prob(&x, context)?.f_sum(None::<Kind>)?;
            autograd::gradient(&log_prob, None, &x, Graph::Differentiable)
        })
    }
}

impl<D: Density> Energy for ScoreOf<D> {
    fn energy(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        Ok(-self.0.log_prob(x, context)?)
    }
}
