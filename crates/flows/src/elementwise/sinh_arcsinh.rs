//! The sinh-arcsinh map.

use super::{mapped, param};
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::{Result, safe};
use tch::Tensor;

/// `z = sinh(τ (asinh x + ε))` with the parameters `(ε, a)`: skewness and weight of the tails (Jones
/// and Pewsey 2009, "Sinh-arcsinh distributions", eq. 1, with the skewness inside).
///
/// `ln τ = a/(1 + |a|/ln 10)`, so that `τ` stays between 1/10 and 10 and the sinh does not overflow.
///
/// `ln dz/dx = ln τ + ln cosh(τ (asinh x + ε)) − ½ ln(1 + x²)`. The identity at zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinhArcsinh;

impl SinhArcsinh {
    fn split(params: &Tensor) -> Result<(Tensor, Tensor)> {
        let raw = param(params, 1)?;
        let log_tail = &raw / (raw.f_abs()? / std::f64::consts::LN_10 + 1.0);
        Ok((param(params, 0)?, log_tail))
    }

    /// `ln cosh u − ln cosh v` with `u` inside and `v = asinh x`.
    fn log_ratio(u: &Tensor, v: &Tensor) -> Result<Tensor> {
        Ok(safe::log_cosh(u)?.f_sub(&safe::log_cosh(v)?)?)
    }
}

impl Univariate for SinhArcsinh {
    fn parameters(&self) -> i64 {
        2
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (skew, log_tail) = Self::split(params)?;
        let v = x.f_asinh()?;
        let u = (&v + skew) * log_tail.f_exp()?;
        let log = Self::log_ratio(&u, &v)? + log_tail;
        mapped(u.f_sinh()?, &log)
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (skew, log_tail) = Self::split(params)?;
        let u = z.f_asinh()?;
        let v = &u * (-&log_tail).f_exp()? - skew;
        let log = Self::log_ratio(&v, &u)? - log_tail;
        mapped(v.f_sinh()?, &log)
    }
}
