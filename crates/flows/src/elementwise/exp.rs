//! The exponential.

use super::mapped;
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use tch::Tensor;

/// `z = eˣ`, `ln dz/dx = x`: real numbers to positive ones. Its inverse, the logarithm, is the first
/// layer for positive data.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exp;

impl Univariate for Exp {
    fn parameters(&self) -> i64 {
        0
    }

    fn forward(&self, x: &Tensor, _params: &Tensor) -> Result<Mapped> {
        mapped(x.f_exp()?, x)
    }

    fn inverse(&self, z: &Tensor, _params: &Tensor) -> Result<Mapped> {
        let x = z.f_log()?;
        let log = -&x;
        mapped(x, &log)
    }
}
