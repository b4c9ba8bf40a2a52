//! Rotations by a skew-symmetric matrix.

use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How a skew-symmetric `A` becomes an orthogonal matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrthogonalBy {
    /// `Q = (I + A)⁻¹ (I − A)` (Cayley 1846): every rotation without the eigenvalue −1; one solve.
    #[default]
    Cayley,
    /// `Q = e^A`: every rotation; about ten products of matrices.
    Exponential,
}

/// `z = Q x` with a rotation `Q`, the parameters being the lower triangle of `A`; the log-determinant
/// is zero, the inverse is `Qᵀ`. Cost `O(D³)` for a batch and `D²` for a row. Starts at the identity.
#[derive(Debug)]
pub struct Orthogonal {
    shape: [i64; 1],
    by: OrthogonalBy,
    lower: Tensor,
}

impl Orthogonal {
    /// The identity on `[D]`.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, dims: i64, by: OrthogonalBy) -> Result<Self> {
        let lower = scope.param("lower", &[dims, dims], Init::Constant(0.0))?;
        Ok(Self { shape: [dims], by, lower })
    }

    fn matrix(&self) -> Result<Tensor> {
        let lower = self.lower.f_tril(-1)?;
        let skew = &lower - lower.f_transpose(0, 1)?;
        if self.by == OrthogonalBy::Exponential {
            return Ok(skew.f_matrix_exp()?);
        }
        let unit = Tensor::f_eye(self.shape[0], (Kind::Double, skew.device()))?;
        let unit = unit.f_to_kind(skew.kind())?;
        Ok(Tensor::f_linalg_solve(&(&unit + &skew), &(&unit - &skew), true)?)
    }
}

impl Bijection for Orthogonal {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(x.f_matmul(&self.matrix()?.f_transpose(0, 1)?)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(z.f_matmul(&self.matrix()?)?)
    }
}
