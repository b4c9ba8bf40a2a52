//! The isotropic normal density that flows start from.

use crate::trace::event_sum;
use maxlik_model::{Density, Sampled};
use maxlik_tensor::{Error, Result};
use tch::{Device, Kind, Tensor};

/// `N(0, σ² I)` on events of one shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    event: Vec<i64>,
    std: f64,
    kind: Kind,
    device: Device,
}

impl Gaussian {
    /// The density with that standard deviation; samples are of this dtype on this device.
    ///
    /// # Errors
    /// [`Error::Config`] for a standard deviation that is not positive.
    pub fn new(event: &[i64], std: f64, kind: Kind, device: Device) -> Result<Self> {
        if !(std > 0.0 && std.is_finite()) {
            return Err(Error::config("std", format!("expected a positive number, got {std}")));
        }
        Ok(Self { event: event.to_vec(), std, kind, device })
    }

    /// The standard normal density.
    ///
    /// # Errors
    /// None for any event shape.
    pub fn standard(event: &[i64], kind: Kind, device: Device) -> Result<Self> {
        Self::new(event, 1.0, kind, device)
    }
}

impl Density for Gaussian {
    fn event_shape(&self) -> &[i64] {
        &self.event
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let d = self.event.iter().product::<i64>() as f64;
        let constant = -0.5 * d * (std::f64::consts::TAU * self.std * self.std).ln();
        let square = event_sum(&x.f_square()?)?;
        Ok(square.f_mul_scalar(-0.5 / (self.std * self.std))?.f_add_scalar(constant)?)
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
        let mut shape = vec![count];
        shape.extend(&self.event);
        Ok(Tensor::f_randn(shape, (self.kind, self.device))?.f_mul_scalar(self.std)?)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let value = self.draw(count, context)?;
        let log_prob = self.log_density(&value, context)?;
        Ok(Sampled { value, log_prob })
    }
}
