//! The monotone rational-quadratic spline.

use super::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use maxlik_tensor::masked::Map;
use maxlik_tensor::spline::{Elementwise, RationalQuadratic};
use tch::Tensor;

/// A rational-quadratic spline with raw widths, heights and derivatives as parameters.
#[derive(Debug, Clone, Copy)]
pub struct Spline {
    /// Bins, interval, tails and knots.
    pub shape: RationalQuadratic,
}

impl Univariate for Spline {
    fn parameters(&self) -> i64 {
        self.shape.parameters() as i64
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let Elementwise { value, log_det } = self.shape.forward(x, params)?;
        Ok(Mapped { value, log_det })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let Elementwise { value, log_det } = self.shape.inverse(z, params)?;
        Ok(Mapped { value, log_det })
    }

    fn fused(&self) -> Option<Map> {
        Some(Map::Spline(self.shape))
    }
}
