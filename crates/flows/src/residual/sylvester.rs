//! Sylvester maps.

use super::{log1p_above, sum_last, tanh_slope};
use crate::elementwise::root::{bisect, polish};
use crate::linear::Reflections;
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `z = x + Q S tanh(R Qᵀx + b)` with `M` orthonormal columns `Q` (Householder reflections) and upper
/// triangular `R`, `S`: a planar map with `M` directions at once (van den Berg et al. 2018, "Sylvester
/// normalizing flows", arXiv:1803.05649, eqs. 10 and 13, and the Householder form of section 4.2).
///
/// `ln |det| = Σ_i ln(1 + r_ii s_ii / cosh²(R Qᵀx + b)_i)`. The diagonals are `tanh` of raw numbers, so
/// that `r_ii s_ii > −1`. The inverse finds the `M` coordinates `Qᵀx` from the last to the first, each
/// as the root of an increasing function. Cost `O(M D)` for a row.
#[derive(Debug)]
pub struct Sylvester {
    shape: [i64; 1],
    rank: i64,
    reflections: Reflections,
    r: Tensor,
    s: Tensor,
    bias: Tensor,
}

impl Sylvester {
    /// A map on `[D]` along `rank` random directions.
    ///
    /// # Errors
    /// [`Error::Config`] for a rank outside `1, …, D`.
    pub fn new(scope: &Scope<'_>, dims: i64, rank: i64) -> Result<Self> {
        if !(1..=dims).contains(&rank) {
            return Err(Error::config("rank", format!("expected 1 to {dims}, got {rank}")));
        }
        let small = Init::Normal(0.1);
        Ok(Self {
            shape: [dims],
            rank,
            reflections: Reflections::new(scope, rank, dims)?,
            r: scope.param("r", &[rank, rank], small)?,
            s: scope.param("s", &[rank, rank], small)?,
            bias: scope.param("bias", &[rank], Init::Constant(0.0))?,
        })
    }

    /// `Qᵀ`, `[M, D]`.
    fn directions(&self) -> Result<Tensor> {
        let options = (Kind::Double, self.r.device());
        let basis = Tensor::f_eye_m(self.rank, self.shape[0], options)?;
        self.reflections.apply(&basis.f_to_kind(self.r.kind())?)
    }

    fn triangular(raw: &Tensor) -> Result<Tensor> {
        let diagonal = raw.f_diagonal(0, 0, 1)?.f_tanh()?;
        Ok(raw.f_triu(1)? + diagonal.f_diag_embed(0, -2, -1)?)
    }

    fn log_det(r: &Tensor, s: &Tensor, a: &Tensor) -> Result<Tensor> {
        let diagonal = r.f_diagonal(0, 0, 1)? * s.f_diagonal(0, 0, 1)?;
        sum_last(&log1p_above(&(tanh_slope(a)? * diagonal))?, false)
    }
}

impl Bijection for Sylvester {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let q = self.directions()?;
        let (r, s) = (Self::triangular(&self.r)?, Self::triangular(&self.s)?);
        let y = x.f_matmul(&q.f_transpose(0, 1)?)?;
        let a = y.f_matmul(&r.f_transpose(0, 1)?)? + &self.bias;
        let step = a.f_tanh()?.f_matmul(&s.f_transpose(0, 1)?)?;
        let value = x + step.f_matmul(&q)?;
        Ok(Mapped { value, log_det: Self::log_det(&r, &s, &a)? })
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let q = self.directions()?;
        let (r, s) = (Self::triangular(&self.r)?, Self::triangular(&self.s)?);
        let image = z.f_matmul(&q.f_transpose(0, 1)?)?;
        // Coordinates y_i, arguments a_i and values tanh a_i, from the last to the first.
        let (mut y, mut a, mut h) = (Vec::new(), Vec::new(), Vec::new());
        for i in (0..self.rank).rev() {
            let entry = |of: &Tensor, j: i64| of.f_select(0, i)?.f_select(0, j);
            let mut target = image.f_select(1, i)?;
            let mut offset = self.bias.f_select(0, i)?.f_expand_as(&target)?;
            for (back, j) in ((i + 1)..self.rank).rev().enumerate() {
                let (y, h): (&Tensor, &Tensor) = (&y[back], &h[back]);
                target = target.f_sub(&(h * entry(&s, j)?))?;
                offset = offset.f_add(&(y * entry(&r, j)?))?;
            }
            let (ri, si) = (entry(&r, i)?, entry(&s, i)?);
            let f = |y: &Tensor| -> Result<Tensor> { Ok(y + (y * &ri + &offset).f_tanh()? * &si) };
            let reach = si.f_abs()?;
            let root = bisect(&(&target - &reach), &(&target + &reach), &target, f)?;
            let found = polish(&root, |y| {
                let slope = tanh_slope(&(y * &ri + &offset))? * &ri * &si + 1.0;
                Ok(y.f_sub(&((f(y)? - &target) / slope))?)
            })?;
            let argument = &found * &ri + &offset;
            h.push(argument.f_tanh()?);
            y.push(found);
            a.push(argument);
        }
        let stack = |mut of: Vec<Tensor>| -> Result<Tensor> {
            of.reverse();
            Ok(Tensor::f_stack(&of, 1)?)
        };
        let step = stack(h)?.f_matmul(&s.f_transpose(0, 1)?)?;
        let log_det = -Self::log_det(&r, &s, &stack(a)?)?;
        Ok(Mapped { value: z - step.f_matmul(&q)?, log_det })
    }
}
