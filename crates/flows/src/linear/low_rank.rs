//! A diagonal matrix with a low-rank update.

use super::each_row;
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::logdet::LuFactors;
use maxlik_tensor::{Error, Result, logdet};
use tch::{Kind, Tensor};

/// `z = (diag(eᵃ) + U Vᵀ) x + b` with `U`, `V` of shape `[D, R]`.
///
/// `ln |det|` by the matrix determinant lemma, the inverse by Woodbury's identity: `O(D R² + R³)` for
/// a batch and `O(D R)` for a row. Starts near the identity.
#[derive(Debug)]
pub struct LowRankLinear {
    shape: [i64; 1],
    rank: i64,
    log_diagonal: Tensor,
    u: Tensor,
    v: Tensor,
    bias: Tensor,
}

impl LowRankLinear {
    /// A map on `[D]` with an update of this rank.
    ///
    /// # Errors
    /// [`Error::Config`] for a rank of zero, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, dims: i64, rank: i64) -> Result<Self> {
        if rank < 1 {
            return Err(Error::config("rank", format!("expected at least one, got {rank}")));
        }
        let small = Init::Normal(0.1 / (dims.max(1) as f64).sqrt());
        Ok(Self {
            shape: [dims],
            rank,
            log_diagonal: scope.param("log_diagonal", &[dims], Init::Constant(0.0))?,
            u: scope.param("u", &[dims, rank], small)?,
            v: scope.param("v", &[dims, rank], small)?,
            bias: scope.param("bias", &[dims], Init::Constant(0.0))?,
        })
    }
}

impl LowRankLinear {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        let update = x.f_matmul(&self.v)?.f_matmul(&self.u.f_transpose(0, 1)?)?;
        Ok(x * self.log_diagonal.f_exp()? + update + &self.bias)
    }
}

impl Bijection for LowRankLinear {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.value(x)?;
        let log_det = logdet::low_rank(&self.log_diagonal.f_exp()?, &self.u, &self.v)?;
        Ok(Mapped { value, log_det: each_row(&log_det, x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        // (A + U Vᵀ)⁻¹ = A⁻¹ − A⁻¹ U (I + Vᵀ A⁻¹ U)⁻¹ Vᵀ A⁻¹.
        let inverse = (-&self.log_diagonal).f_exp()?;
        let scaled = &self.u * inverse.f_unsqueeze(-1)?;
        let unit = Tensor::f_eye(self.rank, (Kind::Double, z.device()))?.f_to_kind(z.kind())?;
        let factors = LuFactors::new(&(self.v.f_transpose(0, 1)?.f_matmul(&scaled)? + unit))?;
        let rows = (z - &self.bias) * &inverse;
        let inner = factors.solve(&rows.f_matmul(&self.v)?.f_transpose(0, 1)?)?;
        let value = rows - scaled.f_matmul(&inner)?.f_transpose(0, 1)?;
        let log_det = factors.log_det()?.f_add(&self.log_diagonal.f_sum(None::<Kind>)?)?;
        Ok(Mapped { value, log_det: each_row(&-log_det, z)? })
    }
}
