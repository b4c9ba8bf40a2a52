//! Shift and scale.

use super::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::masked::Map;
use maxlik_tensor::spline::Elementwise;
use maxlik_tensor::{Result, affine};
use serde::{Deserialize, Serialize};
use tch::Tensor;

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
    /// `scale = softplus(a) + floor` (nflows', for autoregressive layers).
    Softplus {
        /// Added to the softplus.
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
    fn map(&self) -> affine::Affine {
        let scale = match self.scale {
            Scale::SoftClip { slope } => affine::Scale::SoftClip { slope },
            Scale::Sigmoid { floor } => affine::Scale::Sigmoid { floor },
            Scale::Softplus { floor } => affine::Scale::Softplus { floor },
            Scale::Exp {} => affine::Scale::Exp,
        };
        affine::Affine { scale }
    }
}

impl Univariate for Affine {
    fn parameters(&self) -> i64 {
        2
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let Elementwise { value, log_det } = self.map().forward(x, params)?;
        Ok(Mapped { value, log_det })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let Elementwise { value, log_det } = self.map().inverse(z, params)?;
        Ok(Mapped { value, log_det })
    }

    fn fused(&self) -> Option<Map> {
        Some(Map::Affine(self.map()))
    }
}
