//! The uniform distribution on a box.

use super::batched;
use maxlik_model::{Density, Sampled};
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Uniform on `[low, high]` in each coordinate: `ln p = −D ln(high − low)` inside, `−∞` outside.
#[derive(Debug)]
pub struct UniformBox {
    shape: Vec<i64>,
    low: f64,
    high: f64,
    options: (Kind, Device),
}

impl UniformBox {
    /// The uniform distribution on events of this shape.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty interval.
    pub fn new(scope: &Scope<'_>, shape: &[i64], low: f64, high: f64) -> Result<Self> {
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(Error::config(
                "interval",
                format!("expected low < high, got {low} and {high}"),
            ));
        }
        Ok(Self { shape: shape.to_vec(), low, high, options: (scope.kind(), scope.device()) })
    }
}

impl Density for UniformBox {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let count: i64 = self.shape.iter().product();
        let inside = x.f_ge(self.low)?.f_logical_and(&x.f_le(self.high)?)?;
        let inside = inside.f_reshape([x.size()[0], count])?.f_all_dim(1, false)?;
        let level = -(count as f64) * (self.high - self.low).ln();
        let full = |value: f64| Tensor::f_full([x.size()[0]], value, (x.kind(), x.device()));
        Ok(full(level)?.f_where_self(&inside, &full(f64::NEG_INFINITY)?)?)
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
        let unit = Tensor::f_rand(batched(count, &self.shape).as_slice(), self.options)?;
        Ok(unit * (self.high - self.low) + self.low)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let value = self.draw(count, context)?;
        let log_prob = self.log_density(&value, context)?;
        Ok(Sampled { value, log_prob })
    }
}
