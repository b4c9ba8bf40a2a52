//! The leaky rectifier.

use super::mapped;
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `z = x` for `x ≥ 0`, else `slope · x`; `ln dz/dx` is zero or `ln slope`.
#[derive(Debug, Clone, Copy)]
pub struct LeakyRelu {
    slope: f64,
}

impl LeakyRelu {
    /// The rectifier with this slope for negative numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a slope that is not positive.
    pub fn new(slope: f64) -> Result<Self> {
        Ok(Self { slope: positive("slope", slope)? })
    }

    fn scale(x: &Tensor, slope: f64) -> Result<Mapped> {
        let negative = x.f_lt(0.0)?;
        let value = (x * slope).f_where_self(&negative, x)?;
        mapped(value, &(negative.f_to_kind(x.kind())? * slope.ln()))
    }
}

impl Univariate for LeakyRelu {
    fn parameters(&self) -> i64 {
        0
    }

    fn forward(&self, x: &Tensor, _params: &Tensor) -> Result<Mapped> {
        Self::scale(x, self.slope)
    }

    fn inverse(&self, z: &Tensor, _params: &Tensor) -> Result<Mapped> {
        Self::scale(z, 1.0 / self.slope)
    }
}

/// A finite positive number.
pub(super) fn positive(field: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(Error::config(field, format!("expected a positive number, got {value}")))
}
