//! The softplus.

use super::mapped;
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::{Result, safe};
use tch::Tensor;

/// `z = ln(1 + eˣ)`, `ln dz/dx = ln σ(x)`: real numbers to positive ones, the identity far out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Softplus;

impl Univariate for Softplus {
    fn parameters(&self) -> i64 {
        0
    }

    fn forward(&self, x: &Tensor, _params: &Tensor) -> Result<Mapped> {
        mapped(safe::softplus(x)?, &x.f_log_sigmoid()?)
    }

    fn inverse(&self, z: &Tensor, _params: &Tensor) -> Result<Mapped> {
        let x = safe::softplus_inverse(z)?;
        let log = -x.f_log_sigmoid()?;
        mapped(x, &log)
    }
}
