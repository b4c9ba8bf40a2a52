//! Products of Householder reflections.

use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `Q = H_1 ⋯ H_K` with `H_k = I − 2 v_k v_kᵀ/‖v_k‖²` and trained vectors `[K, D]`: orthogonal, and
/// any orthogonal matrix of the sign `(−1)^K` for `K ≥ D − 1` (Tomczak and Welling 2016, "Improving
/// variational auto-encoders using Householder flow", arXiv:1611.09630).
///
/// Applied all at once as `Q = I − Vᵀ M⁻¹ V` with the upper triangular
/// `M = striu(V Vᵀ) + ½ diag(V Vᵀ)` (Joffrain et al. 2006, "Accumulating Householder transformations,
/// revisited"): `2 K D` multiplications for a row, and a solve of size `K` for a batch.
#[derive(Debug)]
pub struct Reflections {
    vectors: Tensor,
}

impl Reflections {
    /// Reflections along `count` vectors drawn from the standard normal.
    ///
    /// # Errors
    /// [`Error::Config`] for no vectors, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, count: i64, dims: i64) -> Result<Self> {
        if count < 1 {
            let why = format!("expected at least one reflection, got {count}");
            return Err(Error::config("reflections", why));
        }
        Ok(Self { vectors: scope.param("vectors", &[count, dims], Init::Normal(1.0))? })
    }

    /// `Q x` for each row `x` of `[B, D]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn apply(&self, rows: &Tensor) -> Result<Tensor> {
        let m = self.middle()?.f_transpose(0, 1)?;
        let solved = Tensor::f_linalg_solve_triangular(&m, &self.vectors, false, true, false)?;
        self.subtract(rows, &solved)
    }

    /// `Qᵀ x` for each row `x` of `[B, D]`: the inverse.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn apply_transposed(&self, rows: &Tensor) -> Result<Tensor> {
        let m = self.middle()?;
        let solved = Tensor::f_linalg_solve_triangular(&m, &self.vectors, true, true, false)?;
        self.subtract(rows, &solved)
    }

    fn middle(&self) -> Result<Tensor> {
        let products = self.vectors.f_matmul(&self.vectors.f_transpose(0, 1)?)?;
        let half = products.f_diagonal(0, 0, 1)? * 0.5;
        Ok(products.f_triu(1)? + half.f_diag_embed(0, -2, -1)?)
    }

    fn subtract(&self, rows: &Tensor, solved: &Tensor) -> Result<Tensor> {
        let along = rows.f_matmul(&self.vectors.f_transpose(0, 1)?)?;
        Ok(rows.f_sub(&along.f_matmul(solved)?)?)
    }
}

/// `z = Q x` with [`Reflections`]; the log-determinant is zero, the inverse is `Qᵀ`.
#[derive(Debug)]
pub struct Householder {
    shape: [i64; 1],
    reflections: Reflections,
}

impl Householder {
    /// A product of `count` reflections on `[D]`.
    ///
    /// # Errors
    /// Those of [`Reflections::new`].
    pub fn new(scope: &Scope<'_>, dims: i64, count: i64) -> Result<Self> {
        Ok(Self { shape: [dims], reflections: Reflections::new(scope, count, dims)? })
    }
}

impl Bijection for Householder {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.reflections.apply(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.reflections.apply_transposed(z)?)
    }
}
