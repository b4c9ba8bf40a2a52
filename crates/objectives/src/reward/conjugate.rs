//! Conjugate gradients.

use maxlik_tensor::{Error, Result, host};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Solves `(H + δ I) v = b` for a symmetric positive definite `H` that is known by its products only
/// (Hestenes and Stiefel 1952): exact after as many products as `b` has entries, but for rounding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConjugateGradient {
    /// Most products with `H`.
    pub products: u32,
    /// Length of the residual over that of `b` at which to stop.
    pub tolerance: f64,
    /// Damping `δ`: where `H` is known up to noise, it keeps small eigenvalues from dominating.
    pub damping: f64,
}

impl Default for ConjugateGradient {
    fn default() -> Self {
        Self { products: 50, tolerance: 1e-6, damping: 0.0 }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Solved {
    /// The solution `v`, of the shape of `b`.
    pub value: Tensor,
    /// `‖b − (H + δ I) v‖ / ‖b‖`, as the recursion has it; zero for `b = 0`.
    pub residual: f64,
    /// Products that were taken.
    pub products: u32,
}

impl ConjugateGradient {
    /// Solves for a right side `b` `[P]`.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit or where a direction shows that `H + δ I` is not
    /// positive definite (too far from a minimum, or too little damping), and those of `product`.
    pub fn run(
        &self,
        mut product: impl FnMut(&Tensor) -> Result<Tensor>,
        right: &Tensor,
    ) -> Result<Solved> {
        let fits = |x: f64| x >= 0.0 && x.is_finite();
        if self.products == 0 || !fits(self.tolerance) || !fits(self.damping) {
            let why = format!("expected numbers from 0 on and one product at least, got {self:?}");
            return Err(Error::config("conjugate gradient", why));
        }
        let dot = |a: &Tensor, b: &Tensor| host::scalar(&a.f_mul(b)?.f_sum(None::<Kind>)?);
        let mut value = right.f_zeros_like()?;
        let mut residual = right.f_detach()?;
        let mut direction = residual.shallow_clone();
        let start = dot(&residual, &residual)?;
        let mut square = start;
        let mut taken = 0;
        while taken < self.products && square > start * self.tolerance.powi(2) {
            let image = product(&direction)?.f_add(&(&direction * self.damping))?;
            taken += 1;
            let curvature = dot(&direction, &image)?;
            if curvature.is_nan() || curvature <= 0.0 {
                let why = format!("expected a positive definite matrix, met curvature {curvature}");
                return Err(Error::config("product", why));
            }
            let step = square / curvature;
            value = value.f_add(&(&direction * step))?;
            residual = residual.f_sub(&(image * step))?;
            let next = dot(&residual, &residual)?;
            direction = residual.f_add(&(direction * (next / square)))?;
            square = next;
        }
        let relative = if start > 0.0 { (square / start).sqrt() } else { 0.0 };
        Ok(Solved { value, residual: relative, products: taken })
    }
}
