//! Flows on manifolds: points `[b, D]` of an embedding space, and steps that stay on the manifold.

mod field;
mod hyperboloid;
mod sphere;
mod step;
mod torus;

pub use field::OnManifold;
pub use hyperboloid::Hyperboloid;
pub use sphere::{Sphere, UniformSphere};
pub use step::{Geodesic, Projected};
pub use torus::Torus;

use maxlik_tensor::Result;
use std::fmt::Debug;
use tch::Tensor;

/// A Riemannian manifold in a space of `D` numbers.
pub trait Manifold: Debug + Send + Sync {
    /// The nearest point of the manifold (along the normal), `[b, D]`.
    ///
    /// # Errors
    /// LibTorch's.
    fn project(&self, x: &Tensor) -> Result<Tensor>;

    /// The tangential part of `v` at a point `x` of the manifold.
    ///
    /// # Errors
    /// LibTorch's.
    fn tangent(&self, x: &Tensor, v: &Tensor) -> Result<Tensor>;

    /// The exponential map: the end of the geodesic from `x` with velocity `v` after unit time.
    ///
    /// # Errors
    /// LibTorch's.
    fn exp(&self, x: &Tensor, v: &Tensor) -> Result<Tensor>;

    /// Its inverse: the velocity at `x` of the geodesic that reaches `y` after unit time.
    ///
    /// # Errors
    /// LibTorch's.
    fn log(&self, x: &Tensor, y: &Tensor) -> Result<Tensor>;

    /// Carries the tangent vector `w` at `x` along the geodesic of velocity `v` to its end.
    ///
    /// # Errors
    /// LibTorch's.
    fn transport(&self, x: &Tensor, v: &Tensor, w: &Tensor) -> Result<Tensor>;

    /// Length of the geodesic between two points, `[b]`.
    ///
    /// # Errors
    /// LibTorch's.
    fn distance(&self, x: &Tensor, y: &Tensor) -> Result<Tensor>;
}

/// `Σ a b` over the last dimension, kept.
fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.f_mul(b)?.f_sum_dim_intlist([-1_i64].as_slice(), true, None)?)
}

/// `f(r)/r` for `r > 0`, with its value at 0 where `r` is so small that the ratio is rounding.
fn over(r: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>, at_zero: f64) -> Result<Tensor> {
    let small = r.f_lt(1e-7)?;
    // The quotient is computed where it can be, and chosen after: no gradient is NaN.
    let safe = r.f_masked_fill(&small, 1.0)?;
    Ok(f(&safe)?.f_div(&safe)?.f_masked_fill(&small, at_zero)?)
}

/// The square root of a number that is not negative, with a gradient at 0.
fn root(square: &Tensor) -> Result<Tensor> {
    Ok(square.f_clamp_min(1e-30)?.f_sqrt()?)
}
