//! The hyperbolic tangent.

use super::mapped;
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::{Result, safe};
use tch::{Kind, Tensor};

/// `z = tanh x`, `ln dz/dx = −2 ln cosh x`: real numbers to `(−1, 1)`.
///
/// In the inverse, ±1, to which large `x` are rounded, count as the numbers next to them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tanh;

impl Univariate for Tanh {
    fn parameters(&self) -> i64 {
        0
    }

    fn forward(&self, x: &Tensor, _params: &Tensor) -> Result<Mapped> {
        mapped(x.f_tanh()?, &(safe::log_cosh(x)? * -2.0))
    }

    fn inverse(&self, z: &Tensor, _params: &Tensor) -> Result<Mapped> {
        let edge = match z.kind() {
            Kind::Double => 1.0 - f64::EPSILON,
            _ => 1.0 - f64::from(f32::EPSILON),
        };
        let x = z.f_clamp(-edge, edge)?.f_atanh()?;
        let log = safe::log_cosh(&x)? * 2.0;
        mapped(x, &log)
    }
}
