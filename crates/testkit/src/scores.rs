//! Scores that a layer carries along by a rule of its own.

use crate::{distance, normal};
use maxlik_model::{Bijection, Mapped, Propagated};
use maxlik_tensor::autograd::{Graph, gradient, jacobian, leaf};
use maxlik_tensor::{Result, autograd};
use tch::{Kind, Tensor};

/// The rule of `layer`, where it has one, against `J⁻ᵀ (δ − ∇ₓ ln |det J|)` with the exact Jacobian, in
/// both directions from the data `x`.
#[track_caller]
pub(crate) fn check_scores(
    name: &str,
    layer: &dyn Bijection,
    x: &Tensor,
    context: Option<&Tensor>,
    tolerance: f64,
) {
    let Some(rule) = layer.propagation() else { return };
    let map = |x: &Tensor| layer.map(x, context);
    let score = normal(21, &x.size());
    compare(name, "data to latent", tolerance, &map, x, &score, |x, score| {
        rule.map_score(x, score, context)
    });
    let unmap = |z: &Tensor| layer.unmap(z, context);
    let z = layer.map(x, context).unwrap().value.detach();
    let score = normal(22, &z.size());
    compare(name, "latent to data", tolerance, &unmap, &z, &score, |z, score| {
        rule.unmap_score(z, score, context)
    });
}

#[track_caller]
fn compare(
    name: &str,
    direction: &str,
    tolerance: f64,
    map: &dyn Fn(&Tensor) -> Result<Mapped>,
    x: &Tensor,
    score: &Tensor,
    carry: impl FnOnce(&Tensor, &Tensor) -> Result<Propagated>,
) {
    let found = carry(x, score).unwrap();
    let plain = map(x).unwrap();
    let off = distance(&found.mapped.value, &plain.value);
    assert!(off < tolerance, "{name}: {direction}, the point with a score is off by {off:e}");
    let off = distance(&found.mapped.log_det, &plain.log_det);
    assert!(off < tolerance, "{name}: {direction}, its log-determinant is off by {off:e}");
    let exact = by_definition(map, x, score).unwrap().reshape(found.score.size());
    let off = distance(&found.score, &exact) / (1.0 + exact.abs().max().double_value(&[]));
    assert!(off < tolerance, "{name}: {direction}, the score is off by {off:e}");
    assert!(!found.score.requires_grad(), "{name}: {direction}, the score carries a graph");
}

/// `J⁻ᵀ (δ − ∇ₓ ln |det J|)`, `[B, D]`.
fn by_definition(
    map: &dyn Fn(&Tensor) -> Result<Mapped>,
    x: &Tensor,
    score: &Tensor,
) -> Result<Tensor> {
    let exact = jacobian(&|x| Ok(map(x)?.value), x, Graph::Free)?;
    let slope = autograd::recorded(|| {
        let x = leaf(x)?;
        gradient(&map(&x)?.log_det.f_sum(None::<Kind>)?, None, &x, Graph::Free)
    })?;
    let right = (score - slope).f_reshape([x.size()[0], -1, 1])?;
    Ok(Tensor::f_linalg_solve(&exact.f_transpose(1, 2)?, &right, true)?.f_squeeze_dim(-1)?)
}
