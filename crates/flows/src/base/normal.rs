//! Normal distributions with a diagonal covariance.

use super::{HALF_LN_TAU, batched, sum_events};
use maxlik_model::{Density, Sampled};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::Result;
use tch::{Device, Kind, Tensor};

/// `N(mean, diag(e^{2 log_std}))` on events of any shape.
#[derive(Debug)]
pub struct DiagonalNormal {
    shape: Vec<i64>,
    parameters: Option<Parameters>,
    options: (Kind, Device),
}

#[derive(Debug)]
struct Parameters {
    mean: Tensor,
    log_std: Tensor,
}

impl DiagonalNormal {
    /// The standard normal.
    #[must_use]
    pub fn standard(scope: &Scope<'_>, shape: &[i64]) -> Self {
        Self { shape: shape.to_vec(), parameters: None, options: (scope.kind(), scope.device()) }
    }

    /// A normal with a trained mean and standard deviation for each coordinate, starting at the
    /// standard normal.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn trained(scope: &Scope<'_>, shape: &[i64]) -> Result<Self> {
        let mean = scope.param("mean", shape, Init::Constant(0.0))?;
        let log_std = scope.param("log_std", shape, Init::Constant(0.0))?;
        let parameters = Some(Parameters { mean, log_std });
        Ok(Self { shape: shape.to_vec(), parameters, options: (scope.kind(), scope.device()) })
    }
}

impl Density for DiagonalNormal {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let count: i64 = self.shape.iter().product();
        let constant = HALF_LN_TAU * count as f64;
        match &self.parameters {
            None => Ok(sum_events(&x.f_square()?)? * -0.5 - constant),
            Some(Parameters { mean, log_std }) => {
                let z = (x - mean) * (-log_std).f_exp()?;
                Ok(sum_events(&z.f_square()?)? * -0.5 - log_std.f_sum(None::<Kind>)? - constant)
            }
        }
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
        let z = Tensor::f_randn(batched(count, &self.shape).as_slice(), self.options)?;
        match &self.parameters {
            None => Ok(z),
            Some(Parameters { mean, log_std }) => Ok(z * log_std.f_exp()? + mean),
        }
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let value = self.draw(count, context)?;
        let log_prob = self.log_density(&value, context)?;
        Ok(Sampled { value, log_prob })
    }
}
