//! Any matrix.

use super::each_row;
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Result, logdet};
use tch::Tensor;

/// `z = W x + b` with a dense `W`, `ln |det| = ln |det W|` by LU: `⅔ D³` multiplications for a batch.
/// Starts at a random orthogonal matrix. Nothing keeps `W` away from singular ones: see
/// [`crate::LuLinear`] for a form that does.
#[derive(Debug)]
pub struct DenseLinear {
    shape: [i64; 1],
    weight: Tensor,
    bias: Tensor,
}

impl DenseLinear {
    /// A random orthogonal matrix on `[D]`.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, dims: i64) -> Result<Self> {
        Ok(Self {
            shape: [dims],
            weight: scope.param("weight", &[dims, dims], Init::Orthogonal)?,
            bias: scope.param("bias", &[dims], Init::Constant(0.0))?,
        })
    }
}

impl DenseLinear {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }
}

impl Bijection for DenseLinear {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.value(x)?;
        Ok(Mapped { value, log_det: each_row(&logdet::dense(&self.weight)?, x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let factors = logdet::LuFactors::new(&self.weight)?;
        let rows = (z - &self.bias).f_transpose(0, 1)?;
        let value = factors.solve(&rows)?.f_transpose(0, 1)?.f_contiguous()?;
        Ok(Mapped { value, log_det: each_row(&-factors.log_det()?, z)? })
    }
}
