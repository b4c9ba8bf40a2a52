//! Shift and scale.

use super::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How a raw number becomes a positive scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scale {
    /// `ln scale = a / (1 + |a / ln slope|)`: between `slope` and `1/slope` (zuko's).
    SoftClip {
        /// The least scale.
        slope: f64,
    },
    /// `scale = sigmoid(a + 2) + floor` (nflows').
    Sigmoid {
        /// Added to the sigmoid.
        floor: f64,
    },
    /// `scale = eᵃ`, as Dinh et al. 2017 (arXiv:1605.08803, eq. 7) write it; unbounded.
    Exp {},
}

impl Default for Scale {
    fn default() -> Self {
        Self::SoftClip { slope: 1e-3 }
    }
}

/// `z = x · scale(a) + b` with the parameters `(b, a)` of each coordinate: shift, then raw scale.
#[derive(Debug, Clone, Copy, Default)]
pub struct Affine {
    /// How `a` becomes the scale.
    pub scale: Scale,
}

impl Affine {
    fn log_scale(&self, raw: &Tensor) -> Result<Tensor> {
        Ok(match self.scale {
            Scale::SoftClip { slope } => raw / ((raw / slope.ln()).f_abs()? + 1.0),
            Scale::Sigmoid { floor } => ((raw + 2.0).f_sigmoid()? + floor).f_log()?,
            Scale::Exp {} => raw.shallow_clone(),
        })
    }

    fn split(params: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((params.f_select(-1, 0)?, params.f_select(-1, 1)?))
    }
}

impl Univariate for Affine {
    fn parameters(&self) -> i64 {
        2
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (shift, raw) = Self::split(params)?;
        let log_scale = self.log_scale(&raw)?;
        let value = shift.f_addcmul(x, &log_scale.f_exp()?)?;
        Ok(Mapped { value, log_det: sum_events(&log_scale)? })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (shift, raw) = Self::split(params)?;
        let log_scale = self.log_scale(&raw)?;
        let value = (z - shift) * (-&log_scale).f_exp()?;
        Ok(Mapped { value, log_det: -sum_events(&log_scale)? })
    }
}

/// Sums the last dimension.
fn sum_events(x: &Tensor) -> Result<Tensor> {
    Ok(x.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?)
}
