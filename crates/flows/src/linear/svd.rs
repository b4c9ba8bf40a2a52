//! A matrix by its singular value decomposition.

use super::{Reflections, each_row};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `z = U diag(eᵃ) V x + b` with products `U`, `V` of Householder reflections (Zhang et al. 2018,
/// "Stabilizing gradients for deep neural networks via efficient SVD parameterization",
/// arXiv:1803.09327; the form is nflows'). `ln |det| = Σ a`; the inverse costs as much as the map.
#[derive(Debug)]
pub struct SvdLinear {
    shape: [i64; 1],
    left: Reflections,
    right: Reflections,
    log_values: Tensor,
    bias: Tensor,
}

impl SvdLinear {
    /// `count` random reflections on each side of the identity on `[D]`.
    ///
    /// # Errors
    /// Those of [`Reflections::new`].
    pub fn new(scope: &Scope<'_>, dims: i64, count: i64) -> Result<Self> {
        Ok(Self {
            shape: [dims],
            left: Reflections::new(&scope.sub("left"), count, dims)?,
            right: Reflections::new(&scope.sub("right"), count, dims)?,
            log_values: scope.param("log_values", &[dims], Init::Constant(0.0))?,
            bias: scope.param("bias", &[dims], Init::Constant(0.0))?,
        })
    }
}

impl SvdLinear {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        let rows = self.right.apply(x)? * self.log_values.f_exp()?;
        Ok(self.left.apply(&rows)? + &self.bias)
    }
}

impl Bijection for SvdLinear {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.value(x)?;
        Ok(Mapped { value, log_det: each_row(&self.log_values.f_sum(None::<Kind>)?, x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let rows = self.left.apply_transposed(&(z - &self.bias))?;
        let value = self.right.apply_transposed(&(rows * (-&self.log_values).f_exp()?))?;
        Ok(Mapped { value, log_det: each_row(&-self.log_values.f_sum(None::<Kind>)?, z)? })
    }
}
