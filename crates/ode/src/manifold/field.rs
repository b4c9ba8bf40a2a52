//! Fields on manifolds.

use super::Manifold;
use maxlik_model::VectorField;
use maxlik_tensor::Result;
use tch::Tensor;

/// A field of the embedding space, made tangential and extended along the normals: its divergence
/// in the embedding space is that on the manifold, so that a [`crate::Cnf`] of it, with steps by
/// [`super::Projected`], is a density on the manifold (Rozen, Grover, Nickel and Lipman 2021, "Moser
/// flow", arXiv:2108.08052, lemma 2).
#[derive(Debug)]
pub struct OnManifold<M, V> {
    /// The manifold.
    pub manifold: M,
    /// Any field on points `[b, D]`.
    pub field: V,
}

impl<M: Manifold, V: VectorField> VectorField for OnManifold<M, V> {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let x = self.manifold.project(x)?;
        self.manifold.tangent(&x, &self.field.velocity(t, &x, context)?)
    }
}
