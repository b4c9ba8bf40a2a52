//! Scores through an autoregressive layer.

use super::Autoregressive;
use crate::score::{Slopes, by_inverse, recorded_input};
use crate::univariate::Univariate;
use maxlik_model::{Bijection, Mapped, PropagateScore, Propagated};
use maxlik_tensor::autograd::{Graph, gradient, recorded};
use maxlik_tensor::{Result, host};
use tch::{Kind, Tensor};

/// The Jacobian of data to latent is `J = diag(a) + N`, with slopes `a` and `N` strictly triangular in
/// the order of the coordinates.
///
/// Latent to data the score is `Jᵀ δ + ∇ₓ ln |det J|`: one parallel pass at the sample, whatever the
/// sampler cost. Data to latent it solves `(diag(a) + Nᵀ) δ' = r` with `r = δ − ∇ₓ ln |det J|`, by the
/// iteration `δ' ← (r − Nᵀ δ')/a`, which is exact after `D` products with `Nᵀ` and ends earlier where
/// nothing moves any more.
impl<U: Univariate> PropagateScore for Autoregressive<U> {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        recorded(|| {
            // Two views of x: the one that is mapped, and the one that conditions.
            let x = recorded_input(x)?;
            let mapped_view = x.f_view_as(&x)?;
            let params = self.parameters(&x, context)?;
            let mapped = self.univariate.forward(&mapped_view, &params)?;
            let slopes = Slopes::of(&mapped, &mapped_view)?;
            let through = |cotangent: &Tensor| -> Result<Tensor> {
                let pulled = gradient(&mapped.value, Some(cotangent), &params, Graph::Keep)?;
                Ok(gradient(&params, Some(&pulled), &x, Graph::Keep)?.f_detach()?)
            };
            let by_params = gradient(&mapped.log_det, None, &params, Graph::Keep)?;
            let constant = gradient(&params, Some(&by_params), &x, Graph::Keep)?.f_detach()?;
            let right = score.f_sub(&constant)?;
            let mut found = slopes.carry(&right)?;
            for _ in 1..self.order.len() {
                let next = slopes.carry(&right.f_sub(&through(&found)?)?)?;
                let moved = moved(&next, &found)?;
                found = next;
                if moved == 0.0 {
                    break;
                }
            }
            Ok(Propagated { mapped, score: found.f_detach()? })
        })
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        let mapped: Mapped = self.unmap(z, context)?;
        by_inverse(mapped, score, |x| self.map(x, context))
    }
}

/// The largest move of an entry.
fn moved(next: &Tensor, before: &Tensor) -> Result<f64> {
    if next.numel() == 0 {
        return Ok(0.0);
    }
    host::scalar(&next.f_sub(before)?.f_abs()?.f_max()?.f_to_kind(Kind::Double)?)
}
