//! The smooth leaky rectifier.

use super::leaky_relu::positive;
use super::mapped;
use super::root::polish;
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result, safe};
use tch::Tensor;

/// `z = a x + (1 − a) ln(1 + eˣ)`, `dz/dx = a + (1 − a) σ(x)`: slope `a` on the left and one on the
/// right, with all derivatives.
///
/// The inverse is Newton's iteration. The map is convex and lies above the leaky rectifier, whose
/// inverse is therefore a start on the right of the root, from where Newton's steps decrease to it
/// without overshooting.
#[derive(Debug, Clone, Copy)]
pub struct SmoothLeakyRelu {
    slope: f64,
}

/// Steps without a graph: ten reach double precision from that start for slopes down to 10⁻³.
const STEPS: usize = 12;

impl SmoothLeakyRelu {
    /// The rectifier with this slope for negative numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a slope that is not in `(0, 1)`.
    pub fn new(slope: f64) -> Result<Self> {
        if slope >= 1.0 {
            let why = format!("expected a number between 0 and 1, got {slope}");
            return Err(Error::config("slope", why));
        }
        Ok(Self { slope: positive("slope", slope)? })
    }

    fn value(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x * self.slope + safe::softplus(x)? * (1.0 - self.slope))
    }

    fn derivative(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_sigmoid()? * (1.0 - self.slope) + self.slope)
    }
}

impl Univariate for SmoothLeakyRelu {
    fn parameters(&self) -> i64 {
        0
    }

    fn forward(&self, x: &Tensor, _params: &Tensor) -> Result<Mapped> {
        mapped(self.value(x)?, &self.derivative(x)?.f_log()?)
    }

    fn inverse(&self, z: &Tensor, _params: &Tensor) -> Result<Mapped> {
        let step = |x: &Tensor| -> Result<Tensor> {
            Ok(x.f_sub(&((self.value(x)? - z) / self.derivative(x)?))?)
        };
        let root = {
            let _no_grad = tch::no_grad_guard();
            let mut x = (z / self.slope).f_where_self(&z.f_lt(0.0)?, z)?;
            for _ in 0..STEPS {
                x = step(&x)?;
            }
            x
        };
        let x = polish(&root, step)?;
        let log = -self.derivative(&x)?.f_log()?;
        mapped(x, &log)
    }
}
