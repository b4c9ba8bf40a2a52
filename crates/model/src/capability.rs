//! Capabilities that some objectives need beside [`crate::Density`].

use crate::Mapped;
use maxlik_tensor::Result;
use std::fmt::Debug;
use tch::Tensor;

/// A velocity field, the right-hand side of `dx/dt = v(t, x)`.
pub trait VectorField: Debug + Send {
    /// The velocity at `x` `[B, …]`, of the same shape; `t` is `[B]`: each sample may be at its own
    /// time.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;
}

/// An energy `E(x)`, the negative log of a density up to a constant.
pub trait Energy: Debug + Send {
    /// `E(x)`: `[B, …] → [B]`, in nats.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn energy(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;
}

/// A score `∇ₓ ln p(x)`.
pub trait Score: Debug + Send {
    /// `∇ₓ ln p(x)`, of the shape of `x` `[B, …]`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn score(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;
}

/// A mapped batch with the score of the pushed-forward density.
#[derive(Debug)]
pub struct Propagated {
    /// Value and log-determinant.
    pub mapped: Mapped,
    /// `∇_y ln p_Y(y)` at the mapped points.
    pub score: Tensor,
}

/// A map that carries a score along with its points, in the same pass.
pub trait PropagateScore: Debug + Send {
    /// For `y = T(x)` and `δ = ∇ₓ ln p(x)`: `δ_y = J⁻ᵀ (δ − ∇ₓ ln |det J|)`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn propagate_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated>;
}
