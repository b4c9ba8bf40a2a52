//! The exponential of a matrix.

use super::each_row;
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Result, logdet};
use tch::Tensor;

/// `z = e^A x + b` with any `A`: invertible whatever its entries, with `ln det = tr A` and the inverse
/// `e^{−A}` (Xiao and Liu 2020, "Generative flows with matrix exponential", arXiv:2007.09651). Cost
/// about ten products of matrices for a batch. Starts at the identity.
#[derive(Debug)]
pub struct ExponentialLinear {
    shape: [i64; 1],
    exponent: Tensor,
    bias: Tensor,
}

impl ExponentialLinear {
    /// The identity on `[D]`.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, dims: i64) -> Result<Self> {
        Ok(Self {
            shape: [dims],
            exponent: scope.param("exponent", &[dims, dims], Init::Constant(0.0))?,
            bias: scope.param("bias", &[dims], Init::Constant(0.0))?,
        })
    }
}

impl ExponentialLinear {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.exponent.f_matrix_exp()?, Some(&self.bias))?)
    }
}

impl Bijection for ExponentialLinear {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.value(x)?;
        Ok(Mapped { value, log_det: each_row(&logdet::exponential(&self.exponent)?, x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let matrix = (-&self.exponent).f_matrix_exp()?;
        let value = (z - &self.bias).f_matmul(&matrix.f_transpose(0, 1)?)?;
        Ok(Mapped { value, log_det: each_row(&-logdet::exponential(&self.exponent)?, z)? })
    }
}
