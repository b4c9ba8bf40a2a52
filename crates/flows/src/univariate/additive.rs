//! Shifts.

use super::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use tch::Tensor;

/// `z = x + b`, which keeps volumes (Dinh et al. 2014, "NICE", arXiv:1410.8516, section 3.2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Additive;

impl Univariate for Additive {
    fn parameters(&self) -> i64 {
        1
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        Mapped::volume_preserving(x.f_add(&params.f_select(-1, 0)?)?)
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        Mapped::volume_preserving(z.f_sub(&params.f_select(-1, 0)?)?)
    }
}
