//! A bijection in the other direction.

use crate::score;
use maxlik_model::{Bijection, Mapped, PropagateScore, Propagated};
use maxlik_tensor::Result;
use tch::Tensor;

/// The inverse of a bijection, as a bijection: forward and inverse change places.
#[derive(Debug)]
pub struct Inverse<B>(pub B);

impl<B: Bijection> Bijection for Inverse<B> {
    fn domain(&self) -> &[i64] {
        self.0.codomain()
    }

    fn codomain(&self) -> &[i64] {
        self.0.domain()
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.0.context_shape()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.0.unmap(x, context)
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.0.map(z, context)
    }

    fn propagation(&self) -> Option<&dyn PropagateScore> {
        Some(self)
    }
}

impl<B: Bijection> PropagateScore for Inverse<B> {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        score::unmap_score(&self.0, x, score, context)
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        score::map_score(&self.0, z, score, context)
    }
}
