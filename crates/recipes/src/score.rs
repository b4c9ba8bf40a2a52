//! Score matching of a recipe's density.

use maxlik_model::{Batch, Bijection, Density, Loss, Objective};
use maxlik_objectives::score::ScoreMatching;
use maxlik_tensor::Result;
use tch::Tensor;

/// Score matching of the data behind the preprocessing `y = T(x)`: in the units of the layers, where all
/// coordinates count alike (Chao et al. 2023, arXiv:2305.15267, appendix).
///
/// `ln p_Y(y) = ln p_X(T⁻¹(y)) + ln |det ∂T⁻¹/∂y|`, from the density of the data themselves.
#[derive(Debug)]
pub struct MatchingBehind {
    before: Option<Box<dyn Bijection>>,
    matching: ScoreMatching,
}

impl MatchingBehind {
    /// Score matching behind this preprocessing.
    #[must_use]
    pub fn new(before: Option<Box<dyn Bijection>>, matching: ScoreMatching) -> Self {
        Self { before, matching }
    }
}

impl Objective<dyn Density> for MatchingBehind {
    fn loss(&self, model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        let Some(before) = self.before.as_deref() else { return self.matching.loss(model, batch) };
        let behind = Batch {
            data: before.forward(&batch.data, None)?.value.f_detach()?,
            context: batch.context.as_ref().map(Tensor::shallow_clone),
            weight: batch.weight.as_ref().map(Tensor::shallow_clone),
        };
        let log_density = |y: &Tensor, context: Option<&Tensor>| -> Result<Tensor> {
            let back = before.inverse(y, None)?;
            let found = model.unnormalized_log_prob(&back.value, context)?;
            Ok(found.f_add(&back.log_det)?)
        };
        self.matching.loss_of(&log_density, &behind)
    }
}
