//! Random probes.

use crate::Result;
use tch::Tensor;

/// The distribution of a probe: zero mean, unit covariance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Probe {
    /// ±1 with equal probability: the least variance of [`super::hutchinson`] among all probes with
    /// independent entries.
    #[default]
    Rademacher,
    /// Standard normal.
    Gaussian,
}

impl Probe {
    /// One probe for each row, of the shape of `x`, from LibTorch's generator; no gradient.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn draw(self, x: &Tensor) -> Result<Tensor> {
        self.draw_many(x, None)
    }

    /// `count` probes for each row, `[count, B, …]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn draw_each(self, x: &Tensor, count: i64) -> Result<Tensor> {
        self.draw_many(x, Some(count))
    }

    fn draw_many(self, x: &Tensor, count: Option<i64>) -> Result<Tensor> {
        let mut shape: Vec<i64> = count.into_iter().collect();
        shape.extend(x.size());
        let options = (x.kind(), x.device());
        Ok(match self {
            Self::Gaussian => Tensor::f_randn(shape.as_slice(), options)?,
            Self::Rademacher => Tensor::f_randint_low(0, 2, shape.as_slice(), options)? * 2.0 - 1.0,
        })
    }
}
