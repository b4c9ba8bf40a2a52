//! Stochastic differential equations `dy = f(t, y) dt + g(t, y) dW`.

mod bridge;
mod brownian;
mod convert;
mod image;
mod kl;
mod reverse;
mod reversible;
mod scheme;
mod solver;
mod voice;

pub use bridge::{Posterior, posterior};
pub use brownian::{Brownian, BrownianTree, Increment};
pub use convert::Converted;
pub use image::{ImageStep, MeanReverting};
pub use kl::WithKl;
pub use reverse::ReverseSde;
pub use reversible::{SharedSde, solve_reversible};
pub use scheme::Scheme;
pub use solver::SdeSolver;
pub use voice::{DataVariance, VoiceCoefficients, VoiceSde, VoiceStep};

use maxlik_tensor::Result;
use std::fmt::Debug;
use tch::Tensor;

/// How the noise enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoiseShape {
    /// One motion for each number of the event: `g` is of the shape of `y`, and each of its numbers
    /// depends on the same number of `y` alone.
    Diagonal,
    /// One motion for each sample, `[b, 1]`: `g` is of the shape of `y`.
    Scalar,
    /// As [`NoiseShape::Diagonal`] with a `g` that does not depend on `y`.
    Additive,
    /// So many motions for each sample: `g` is `[b, …, M]`.
    General(i64),
}

/// What the stochastic integral means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// Itô's: `g` at the start of each interval.
    Ito,
    /// Stratonovich's: `g` at its middle.
    Stratonovich,
}

/// A stochastic differential equation for a batch of independent rows.
pub trait Sde: Debug {
    /// How the noise enters.
    fn noise(&self) -> NoiseShape;

    /// What the stochastic integral means.
    fn convention(&self) -> Convention;

    /// `f(t, y)`, of the shape of `y` `[b, …]`; `t` is `[b]`.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn drift(&self, t: &Tensor, y: &Tensor) -> Result<Tensor>;

    /// `g(t, y)`, of the shape that [`Sde::noise`] says.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn diffusion(&self, t: &Tensor, y: &Tensor) -> Result<Tensor>;
}

/// The shape of the motions that drive an equation with states of that shape.
///
/// ```
/// use maxlik_ode::sde::{NoiseShape, motion_shape};
/// assert_eq!(motion_shape(NoiseShape::Scalar, &[5, 3]), [5, 1]);
/// assert_eq!(motion_shape(NoiseShape::General(2), &[5, 3]), [5, 2]);
/// ```
#[must_use]
pub fn motion_shape(noise: NoiseShape, state: &[i64]) -> Vec<i64> {
    let rows = state.first().copied().unwrap_or(0);
    match noise {
        NoiseShape::Diagonal | NoiseShape::Additive => state.to_vec(),
        NoiseShape::Scalar => vec![rows, 1],
        NoiseShape::General(motions) => vec![rows, motions],
    }
}

/// `g · w` for motions `w` of [`motion_shape`], of the shape of `y`.
pub(crate) fn apply(noise: NoiseShape, g: &Tensor, w: &Tensor, y: &Tensor) -> Result<Tensor> {
    Ok(match noise {
        NoiseShape::Diagonal | NoiseShape::Additive => g.f_mul(w)?,
        NoiseShape::Scalar => g.f_mul(&crate::time::column(&w.f_select(1, 0)?, y)?)?,
        NoiseShape::General(motions) => {
            let rows = y.size()[0];
            let flat = g.f_reshape([rows, -1, motions])?;
            flat.f_matmul(&w.f_unsqueeze(-1)?)?.f_reshape(y.size().as_slice())?
        }
    })
}

/// `∂g/∂y · v`, where `v` has the shape of `y` and `g` too; differentiable where `y` is.
pub(crate) fn push(sde: &dyn Sde, t: &Tensor, y: &Tensor, v: &Tensor) -> Result<Tensor> {
    use maxlik_tensor::autograd::{Graph, jvp, jvp_of, recorded};
    if !crate::trace::is_recording()? {
        return Ok(jvp(&|y| sde.diffusion(t, y), y, v)?.product);
    }
    recorded(|| {
        // A state without a gradient may still meet parameters inside g.
        let y =
            if y.requires_grad() { y.shallow_clone() } else { maxlik_tensor::autograd::leaf(y)? };
        let g = sde.diffusion(t, &y)?;
        jvp_of(&g, &y, v, Graph::Differentiable)
    })
}
