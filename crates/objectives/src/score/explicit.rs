//! Explicit score matching.

use super::{PointFn, sum_events};
use maxlik_model::{Batch, Loss, Objective, Score};
use maxlik_tensor::autograd::{self, Graph};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `E[½‖s(x)‖² + tr ∂s/∂x]` (Hyvärinen 2005, "Estimation of non-normalized statistical models by score
/// matching", theorem 1), which differs from `½ E‖s − ∇ ln p_data‖²` by a constant of the data.
///
/// The trace is exact: `D` backward passes for `D` numbers in a row. Data are `[B, D]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExplicitScoreMatching;

impl ExplicitScoreMatching {
    /// The loss of each row, `[B]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for data that are not `[B, D]`, and those of the model.
    pub fn each(model: &dyn Score, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        Self::each_of(&|x, context| model.score(x, context), x, context)
    }

    pub(super) fn each_of(
        score: &PointFn<'_>,
        x: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Tensor> {
        let &[_, dims] = x.size().as_slice() else {
            return Err(Error::shape("data", "[B, D]", &x.size()));
        };
        autograd::recorded(|| {
            let x = autograd::leaf(x)?;
            let score = score(&x, context)?;
            let mut loss = sum_events(&score.f_square()?)? * 0.5;
            for i in 0..dims {
                let row = score.f_select(1, i)?.f_sum(None::<Kind>)?;
                let slope = autograd::gradient(&row, None, &x, Graph::Differentiable)?;
                loss = loss.f_add(&slope.f_select(1, i)?)?;
            }
            Ok(loss)
        })
    }
}

impl Objective<dyn Score> for ExplicitScoreMatching {
    fn loss(&self, model: &(dyn Score + 'static), batch: &Batch) -> Result<Loss> {
        let each = Self::each(model, &batch.data, batch.context.as_ref())?;
        Ok(Loss { value: each.f_mean(None::<Kind>)?, metrics: Vec::new() })
    }
}
