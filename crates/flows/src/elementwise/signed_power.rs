//! The signed power.

use super::{mapped, param};
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `z = sign(x) |x|^p` with `p = eᵃ` and the parameter `a`: lighter or heavier tails.
///
/// `ln dz/dx = a + (p − 1) ln |x|`. The identity at `a = 0`; at `x = 0` the derivative is zero or
/// infinite, and `|x|` counts as the least positive number of the dtype.
#[derive(Debug, Clone, Copy, Default)]
pub struct SignedPower;

impl SignedPower {
    fn raise(x: &Tensor, log_power: &Tensor) -> Result<Mapped> {
        let tiny = match x.kind() {
            Kind::Double => f64::MIN_POSITIVE,
            _ => f64::from(f32::MIN_POSITIVE),
        };
        let log = x.f_abs()?.f_clamp_min(tiny)?.f_log()?;
        let power = log_power.f_exp()?;
        let value = x.f_sign()? * (&log * &power).f_exp()?;
        mapped(value, &(log_power + log * (power - 1.0)))
    }
}

impl Univariate for SignedPower {
    fn parameters(&self) -> i64 {
        1
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        Self::raise(x, &param(params, 0)?)
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        Self::raise(z, &-param(params, 0)?)
    }
}
