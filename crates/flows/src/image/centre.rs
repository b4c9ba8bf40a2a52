//! Dequantised data around zero.

use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::Result;
use tch::Tensor;

/// `z = 2 x − 1`: data in `[0, 1]`, as dequantization gives them, to `[−1, 1]`.
///
/// `ln |det| = D ln 2`, which keeps log-densities those of `x`, so that bits per dimension of
/// dequantised data need no constant of their own.
#[derive(Debug)]
pub struct Centre {
    shape: Vec<i64>,
}

impl Centre {
    /// On events of this shape.
    #[must_use]
    pub fn new(shape: &[i64]) -> Self {
        Self { shape: shape.to_vec() }
    }

    fn log_det(&self, x: &Tensor, sign: f64) -> Result<Tensor> {
        let dims: i64 = self.shape.iter().product();
        let value = sign * dims as f64 * std::f64::consts::LN_2;
        Ok(Tensor::f_full([x.size()[0]], value, (x.kind(), x.device()))?)
    }
}

impl Bijection for Centre {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Ok(Mapped { value: x * 2.0 - 1.0, log_det: self.log_det(x, 1.0)? })
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Ok(Mapped { value: (z + 1.0) * 0.5, log_det: self.log_det(z, -1.0)? })
    }
}
