//! A matrix by its QR factors.

use super::{Reflections, each_row};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `z = Q R x + b` with a product `Q` of Householder reflections and an upper triangular `R` with the
/// positive diagonal `eᵃ` (Hoogeboom et al. 2019, "Emerging convolutions", arXiv:1901.11137, section
/// 4.1). `ln |det| = Σ a`; the inverse costs one triangular solve.
#[derive(Debug)]
pub struct QrLinear {
    shape: [i64; 1],
    reflections: Reflections,
    upper: Tensor,
    log_diagonal: Tensor,
    bias: Tensor,
}

impl QrLinear {
    /// `count` random reflections on `[D]`, `R` being the identity.
    ///
    /// # Errors
    /// Those of [`Reflections::new`].
    pub fn new(scope: &Scope<'_>, dims: i64, count: i64) -> Result<Self> {
        Ok(Self {
            shape: [dims],
            reflections: Reflections::new(scope, count, dims)?,
            upper: scope.param("upper", &[dims, dims], Init::Constant(0.0))?,
            log_diagonal: scope.param("log_diagonal", &[dims], Init::Constant(0.0))?,
            bias: scope.param("bias", &[dims], Init::Constant(0.0))?,
        })
    }

    fn upper(&self) -> Result<Tensor> {
        Ok(self.upper.f_triu(1)? + self.log_diagonal.f_exp()?.f_diag_embed(0, -2, -1)?)
    }
}

impl QrLinear {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.f_matmul(&self.upper()?.f_transpose(0, 1)?)?;
        Ok(self.reflections.apply(&rows)? + &self.bias)
    }
}

impl Bijection for QrLinear {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.value(x)?;
        Ok(Mapped { value, log_det: each_row(&self.log_diagonal.f_sum(None::<Kind>)?, x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let rows = self.reflections.apply_transposed(&(z - &self.bias))?.f_transpose(0, 1)?;
        let rows = Tensor::f_linalg_solve_triangular(&self.upper()?, &rows, true, true, false)?;
        let value = rows.f_transpose(0, 1)?.f_contiguous()?;
        Ok(Mapped { value, log_det: each_row(&-self.log_diagonal.f_sum(None::<Kind>)?, z)? })
    }
}
