//! Scores carried through maps: path gradients in one pass.

use maxlik_model::{Bijection, Mapped, Propagated};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, gradient, leaf, recorded};
use tch::{Kind, Tensor};

/// A score through [`Bijection::map`], by the layer's own rule or by a gradient through its inverse.
pub(crate) fn map_score(
    layer: &dyn Bijection,
    x: &Tensor,
    score: &Tensor,
    context: Option<&Tensor>,
) -> Result<Propagated> {
    match layer.propagation() {
        Some(rule) => rule.map_score(x, score, context),
        None => by_inverse(layer.map(x, context)?, score, |z| layer.unmap(z, context)),
    }
}

/// A score through [`Bijection::unmap`], as [`map_score`].
pub(crate) fn unmap_score(
    layer: &dyn Bijection,
    z: &Tensor,
    score: &Tensor,
    context: Option<&Tensor>,
) -> Result<Propagated> {
    match layer.propagation() {
        Some(rule) => rule.unmap_score(z, score, context),
        None => by_inverse(layer.unmap(z, context)?, score, |x| layer.map(x, context)),
    }
}

/// `J⁻ᵀ (δ − ∇ₓ ln |det J|)` as a gradient through the inverse `S = T⁻¹`: with `x = S(y)` it is
/// `(∂S/∂y)ᵀ δ + ∇_y ln |det ∂S/∂y|`. One pass of the inverse and one gradient, in any dimension; no
/// Jacobian is formed.
pub(crate) fn by_inverse(
    mapped: Mapped,
    score: &Tensor,
    inverse: impl FnOnce(&Tensor) -> Result<Mapped>,
) -> Result<Propagated> {
    let score = recorded(|| {
        let y = leaf(&mapped.value)?;
        let back = inverse(&y)?;
        let along = back.value.f_mul(&score.f_detach()?)?.f_sum(None::<Kind>)?;
        gradient(&along.f_add(&back.log_det.f_sum(None::<Kind>)?)?, None, &y, Graph::Free)
    })?;
    Ok(Propagated { mapped, score: score.f_detach()? })
}

/// What elementwise maps need of the graph that they leave behind: with `y_i = τ(x_i)`, the slopes
/// `a_i = ∂y_i/∂x_i` and `∂(Σ ln |a_i|)/∂x_i`, both of the shape of `x`.
#[derive(Debug)]
pub(crate) struct Slopes {
    pub(crate) slope: Tensor,
    pub(crate) log_det: Tensor,
}

impl Slopes {
    /// Reads them off a recorded map of a recorded `x`, and keeps the graph.
    pub(crate) fn of(mapped: &Mapped, x: &Tensor) -> Result<Self> {
        let slope = gradient(&mapped.value, None, x, Graph::Keep)?.f_detach()?;
        let log_det = gradient(&mapped.log_det, None, x, Graph::Keep)?.f_detach()?;
        Ok(Self { slope, log_det })
    }

    /// `(δ − ∂(Σ ln |a|)/∂x)/a`.
    pub(crate) fn carry(&self, score: &Tensor) -> Result<Tensor> {
        Ok(score.f_sub(&self.log_det)?.f_div(&self.slope)?)
    }
}

/// `x` itself where it is recorded, so that gradients by it are taken on the graph that the map
/// builds anyway; otherwise a leaf.
pub(crate) fn recorded_input(x: &Tensor) -> Result<Tensor> {
    if x.requires_grad() { Ok(x.shallow_clone()) } else { leaf(x) }
}
