//! An invertible matrix by its LU factors.

use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `z = L U x + b` with `L` unit lower triangular and `U` upper triangular with the positive
/// diagonal `softplus(d) + 10⁻³` (Oliva et al. 2018, "Transformation autoregressive networks",
/// arXiv:1801.09819; the form is nflows').
///
/// Starts as the identity. `ln |det| = Σ ln U_ii`; the inverse costs two triangular solves.
#[derive(Debug)]
pub struct LuLinear {
    shape: [i64; 1],
    lower: Tensor,
    upper: Tensor,
    diagonal: Tensor,
    bias: Tensor,
}

/// Least entry of the diagonal of `U`.
const FLOOR: f64 = 1e-3;

impl LuLinear {
    /// The identity on `[D]`.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, dims: i64) -> Result<Self> {
        // softplus(start) + FLOOR = 1.
        let start = ((1.0 - FLOOR).exp() - 1.0).ln();
        Ok(Self {
            shape: [dims],
            lower: scope.param("lower", &[dims, dims], Init::Constant(0.0))?,
            upper: scope.param("upper", &[dims, dims], Init::Constant(0.0))?,
            diagonal: scope.param("diagonal", &[dims], Init::Constant(start))?,
            bias: scope.param("bias", &[dims], Init::Constant(0.0))?,
        })
    }

    fn diagonal(&self) -> Result<Tensor> {
        Ok(self.diagonal.f_softplus()? + FLOOR)
    }

    fn factors(&self, diagonal: &Tensor) -> Result<(Tensor, Tensor)> {
        let unit = diagonal.f_ones_like()?.f_diag_embed(0, -2, -1)?;
        let lower = self.lower.f_tril(-1)? + unit;
        let upper = self.upper.f_triu(1)? + diagonal.f_diag_embed(0, -2, -1)?;
        Ok((lower, upper))
    }

    fn log_det(diagonal: &Tensor, x: &Tensor) -> Result<Tensor> {
        Ok(diagonal.f_log()?.f_sum(None::<Kind>)?.f_expand([x.size()[0]], false)?)
    }
}

impl LuLinear {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        let (lower, upper) = self.factors(&self.diagonal()?)?;
        // One D×D product is cheaper than a second pass over the batch.
        Ok(x.f_linear(&lower.f_matmul(&upper)?, Some(&self.bias))?)
    }
}

impl Bijection for LuLinear {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Ok(Mapped { value: self.value(x)?, log_det: Self::log_det(&self.diagonal()?, x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let diagonal = self.diagonal()?;
        let (lower, upper) = self.factors(&diagonal)?;
        let rows = (z - &self.bias).f_transpose(0, 1)?;
        let rows = Tensor::f_linalg_solve_triangular(&lower, &rows, false, true, true)?;
        let rows = Tensor::f_linalg_solve_triangular(&upper, &rows, true, true, false)?;
        let value = rows.f_transpose(0, 1)?.f_contiguous()?;
        Ok(Mapped { value, log_det: -Self::log_det(&diagonal, z)? })
    }
}
