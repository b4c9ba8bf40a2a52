//! The hyperboloid model of hyperbolic space.

use super::{Manifold, dot, over, root};
use maxlik_tensor::Result;
use tch::Tensor;

/// The upper sheet `⟨x, x⟩ = −1`, `x₀ > 0` of `D` numbers under the Minkowski product
/// `⟨a, b⟩ = −a₀ b₀ + Σᵢ aᵢ bᵢ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hyperboloid;

/// `⟨a, b⟩`, with the last dimension kept.
fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let first = a.f_narrow(-1, 0, 1)?.f_mul(&b.f_narrow(-1, 0, 1)?)?;
    Ok(dot(a, b)?.f_sub(&first.f_mul_scalar(2.0)?)?)
}

impl Hyperboloid {
    /// The length of tangent vectors, which is real.
    fn length(v: &Tensor) -> Result<Tensor> {
        root(&product(v, v)?)
    }

    /// The point above `x` `[b, D − 1]`: `(√(1 + |x|²), x)`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn lift(&self, x: &Tensor) -> Result<Tensor> {
        Ok(Tensor::f_cat(&[dot(x, x)?.f_add_scalar(1.0)?.f_sqrt()?, x.shallow_clone()], -1)?)
    }
}

impl Manifold for Hyperboloid {
    /// `x/√(−⟨x, x⟩)`.
    fn project(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_div(&root(&product(x, x)?.f_neg()?)?)?)
    }

    fn tangent(&self, x: &Tensor, v: &Tensor) -> Result<Tensor> {
        Ok(v.f_add(&x.f_mul(&product(x, v)?)?)?)
    }

    /// `x cosh r + v sinh(r)/r`, `r = |v|`.
    fn exp(&self, x: &Tensor, v: &Tensor) -> Result<Tensor> {
        let r = Self::length(v)?;
        let along = v.f_mul(&over(&r, |r| Ok(r.f_sinh()?), 1.0)?)?;
        Ok(x.f_mul(&r.f_cosh()?)?.f_add(&along)?)
    }

    fn log(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let along = self.tangent(x, y)?;
        let sine = Self::length(&along)?;
        // asinh keeps the digits that acosh of a number near one loses.
        let ratio = over(&sine, |s| Ok(s.f_asinh()?), 1.0)?;
        Ok(along.f_mul(&ratio)?)
    }

    fn transport(&self, x: &Tensor, v: &Tensor, w: &Tensor) -> Result<Tensor> {
        let r = Self::length(v)?;
        let unit = v.f_mul(&over(&r, |r| Ok(r.f_ones_like()?), 0.0)?)?;
        let part = product(&unit, w)?;
        let turned = unit.f_mul(&r.f_cosh()?.f_sub_scalar(1.0)?)?.f_add(&x.f_mul(&r.f_sinh()?)?)?;
        Ok(w.f_add(&turned.f_mul(&part)?)?)
    }

    fn distance(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let along = self.tangent(x, y)?;
        Ok(Self::length(&along)?.f_asinh()?.f_squeeze_dim(-1)?)
    }
}
