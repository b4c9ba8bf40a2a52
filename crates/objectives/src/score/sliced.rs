//! Sliced score matching.

use super::{PointFn, sum_events};
use maxlik_model::{Batch, Loss, Objective, Score};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{self, Graph};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The law of the directions `v`; both have `E[v vᵀ] = I`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slices {
    /// Independent signs: the estimate of the trace has the least variance.
    #[default]
    Rademacher,
    /// Standard normal.
    Gaussian,
}

/// Sliced score matching with variance reduction, `E[½‖s(x)‖² + vᵀ (∂s/∂x) v]`, or without,
/// `E[½(vᵀs(x))² + vᵀ (∂s/∂x) v]` (Song et al. 2019, "Sliced score matching", arXiv:1905.07088,
/// eqs. 8 and 7).
///
/// Two backward passes, whatever the dimension. Averaged over `v` both are the loss of
/// [`super::ExplicitScoreMatching`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlicedScoreMatching {
    /// The law of the directions.
    pub slices: Slices,
    /// Whether the square is sliced too; otherwise its expectation is taken exactly.
    pub plain: bool,
}

impl SlicedScoreMatching {
    /// The loss of each row, `[B]`, for given directions `v` of the shape of `x`.
    ///
    /// # Errors
    /// Those of the model.
    pub fn each(
        &self,
        model: &dyn Score,
        x: &Tensor,
        context: Option<&Tensor>,
        v: &Tensor,
    ) -> Result<Tensor> {
        self.each_of(&|x, context| model.score(x, context), x, context, v)
    }

    pub(super) fn each_of(
        &self,
        score: &PointFn<'_>,
        x: &Tensor,
        context: Option<&Tensor>,
        v: &Tensor,
    ) -> Result<Tensor> {
        autograd::recorded(|| {
            let x = autograd::leaf(x)?;
            let score = score(&x, context)?;
            let sliced = sum_events(&score.f_mul(v)?)?;
            let slope = autograd::gradient(&sliced, None, &x, Graph::Differentiable)?;
            let square =
                if self.plain { sliced.f_square()? } else { sum_events(&score.f_square()?)? };
            Ok(square * 0.5 + sum_events(&slope.f_mul(v)?)?)
        })
    }

    /// Directions for the rows of `x`, from LibTorch's generator.
    pub(super) fn directions(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self.slices {
            Slices::Rademacher => x.f_rand_like()?.f_ge(0.5)?.f_to_kind(x.kind())? * 2.0 - 1.0,
            Slices::Gaussian => x.f_randn_like()?,
        })
    }
}

impl Objective<dyn Score> for SlicedScoreMatching {
    fn loss(&self, model: &(dyn Score + 'static), batch: &Batch) -> Result<Loss> {
        let x = &batch.data;
        let each = self.each(model, x, batch.context.as_ref(), &self.directions(x)?)?;
        Ok(Loss { value: each.f_mean(None::<Kind>)?, metrics: Vec::new() })
    }
}
