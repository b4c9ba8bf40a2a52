//! Neal's funnel.

use super::Target;
use maxlik_model::Energy;
use maxlik_tensor::{Error, Result, check};
use tch::{Device, Kind, Tensor};

/// `x₁ ~ N(0, s²)`, `x_i | x₁ ~ N(0, e^{x₁})` for the others (Neal 2003, "Slice sampling", Annals of
/// Statistics 31, section 8), with `E = −ln p`, so that `ln Z = 0`, and an exact sampler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Funnel {
    dims: i64,
    std: f64,
}

impl Funnel {
    /// The funnel on `[D]` whose neck has the standard deviation `s`; Neal's has `D = 10`, `s = 3`.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than two coordinates, or a deviation that is not positive.
    pub fn new(dims: i64, std: f64) -> Result<Self> {
        if dims < 2 {
            return Err(Error::config("dims", format!("expected at least 2, got {dims}")));
        }
        if !(std > 0.0 && std.is_finite()) {
            return Err(Error::config("std", format!("expected a positive number, got {std}")));
        }
        Ok(Self { dims, std })
    }
}

impl Energy for Funnel {
    fn energy(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        check::batch_of("x", x, &[self.dims])?;
        let neck = x.f_select(1, 0)?;
        let rest = x.f_narrow(1, 1, self.dims - 1)?.f_square()?;
        let rest = rest.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
        let others = (self.dims - 1) as f64;
        let constant = 0.5 * self.dims as f64 * std::f64::consts::TAU.ln() + self.std.ln();
        let square = neck.f_square()? * (0.5 / (self.std * self.std));
        Ok(square + (-&neck).f_exp()? * rest * 0.5 + neck * (0.5 * others) + constant)
    }
}

impl Target for Funnel {
    fn dims(&self) -> i64 {
        self.dims
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, count: i64, options: (Kind, Device)) -> Result<Tensor> {
        let noise = Tensor::f_randn([count, self.dims], options)?;
        let neck = noise.f_narrow(1, 0, 1)? * self.std;
        let rest = noise.f_narrow(1, 1, self.dims - 1)? * (&neck * 0.5).f_exp()?;
        Ok(Tensor::f_cat(&[neck, rest], 1)?)
    }
}
