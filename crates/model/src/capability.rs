//! Capabilities that some objectives need beside [`crate::Density`].

use crate::{Bijection, Density, Mapped};
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
    /// The value with its graph, and the log-determinant, which may lack one: path gradients do not
    /// ask for it.
    pub mapped: Mapped,
    /// `∇_y ln p_Y(y)` at the mapped points, without a graph.
    pub score: Tensor,
}

/// A map that carries a score along with its points, in the same pass.
///
/// For `y = T(x)` with Jacobian `J`, and `x` of the density `p` with the score `δ = ∇ₓ ln p(x)`, the
/// density of `y` has the score `J⁻ᵀ (δ − ∇ₓ ln |det J|)` (Vaitl et al. 2024, "Fast and unified path
/// gradient estimators for normalizing flows", arXiv:2403.15881, proposition 3.1).
pub trait PropagateScore: Debug + Send {
    /// Data to latent: `T` is [`crate::Bijection::map`]. Unchecked; `score` has the shape of `x`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn map_score(&self, x: &Tensor, score: &Tensor, context: Option<&Tensor>)
    -> Result<Propagated>;

    /// Latent to data: `T` is [`crate::Bijection::unmap`]. Unchecked; `score` has the shape of `z`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated>;
}

/// A density that is the image of a base under a map, and carries scores through that map: what path
/// gradients need.
pub trait PathDensity: Density + PropagateScore {
    /// The density of latents; it sees the context where it takes one.
    fn base(&self) -> &dyn Density;

    /// The map, from data to latent; it sees the context where it takes one.
    fn transform(&self) -> &dyn Bijection;

    /// The data `g(z)` of latents, with their graph. A density that finds points at less cost than
    /// points with log-determinants has a method of its own.
    ///
    /// # Errors
    /// As [`Bijection::unmap`].
    fn to_data(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let transform = self.transform();
        Ok(transform.unmap(z, transform.context_shape().and(context))?.value)
    }

    /// The latents `f(x)` of data, as [`PathDensity::to_data`].
    ///
    /// # Errors
    /// As [`Bijection::map`].
    fn to_latent(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let transform = self.transform();
        Ok(transform.map(x, transform.context_shape().and(context))?.value)
    }
}

/// A map of data to reconstructions of the same shape, such as an auto-encoder.
pub trait Reconstruct: Debug + Send {
    /// `r(x)`, of the shape of `x` `[B, …]`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn reconstruct(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;
}

/// A density on the manifold that a decoder spans, with an encoder that need not invert it.
pub trait InjectiveDensity: Density {
    /// `f(x)`: `[B, D] → [B, d]`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn encode(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;

    /// `g(z)`: `[B, d] → [B, D]`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn decode(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;

    /// The density of latents; it sees the context where it takes one.
    fn latents(&self) -> &dyn Density;
}
