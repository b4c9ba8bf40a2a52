//! Dense matrices whose LU factors are used again: `O(D³)` once, `O(D²)` for each solve.

use super::dense::must_loop;
use crate::{Result, check};
use tch::{Kind, Tensor};

/// `P L U = A` of dense matrices `[…, D, D]`, kept for the log-determinant and for solves.
///
/// All that comes out is differentiable by `A` (and by right-hand sides). Cost `⅔ D³`
/// multiplications for the factors of each matrix, `D` for the log-determinant, `2 D²` for each
/// right-hand side: a layer that maps and unmaps in one step factors once.
#[derive(Debug)]
pub struct LuFactors {
    /// All matrices in one part, or one part for each where LibTorch's batched LU is not safe.
    parts: Vec<Part>,
    /// Batch shape.
    batch: Vec<i64>,
    dims: i64,
}

#[derive(Debug)]
struct Part {
    lu: Tensor,
    pivots: Tensor,
}

impl LuFactors {
    /// Factors `A` `[…, D, D]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] for other than square matrices, [`crate::Error::Kind`] for integers.
    pub fn new(a: &Tensor) -> Result<Self> {
        check::floating("matrix", a)?;
        let dims = check::square("matrix", a)?;
        let size = a.size();
        let factor = |a: &Tensor| -> Result<Part> {
            // The checked version refuses a singular matrix; here its log-determinant is −∞.
            let (lu, pivots, _info) = Tensor::f_linalg_lu_factor_ex(a, true, false)?;
            Ok(Part { lu, pivots })
        };
        super::count_factorization();
        let parts = if must_loop(a, dims) {
            let matrices = a.f_reshape([-1, dims, dims])?.f_unbind(0)?;
            matrices.iter().map(factor).collect::<Result<_>>()?
        } else {
            vec![factor(a)?]
        };
        Ok(Self { parts, batch: size[..size.len() - 2].to_vec(), dims })
    }

    /// `ln |det A| = Σᵢ ln |Uᵢᵢ|`, shape `[…]`, in nats; `−∞` for a singular matrix.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn log_det(&self) -> Result<Tensor> {
        let one = |part: &Part| -> Result<Tensor> {
            let diagonal = part.lu.f_diagonal(0, -2, -1)?;
            let logs = diagonal.f_abs()?.f_log()?;
            Ok(logs.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?)
        };
        let each = self.parts.iter().map(one).collect::<Result<Vec<_>>>()?;
        match each.as_slice() {
            [all] if self.parts.len() == 1 => Ok(all.f_reshape(self.batch.as_slice())?),
            many => Ok(Tensor::f_stack(many, 0)?.f_reshape(self.batch.as_slice())?),
        }
    }

    /// `X` with `A X = B`; `B` and `X` are `[…, D, N]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] for another batch or height of `B`.
    pub fn solve(&self, b: &Tensor) -> Result<Tensor> {
        self.solve_with(b, false)
    }

    /// `X` with `Aᵀ X = B`; `B` and `X` are `[…, D, N]`.
    ///
    /// # Errors
    /// As [`LuFactors::solve`].
    pub fn solve_transposed(&self, b: &Tensor) -> Result<Tensor> {
        self.solve_with(b, true)
    }

    fn solve_with(&self, b: &Tensor, transposed: bool) -> Result<Tensor> {
        let columns = b.size().last().copied().unwrap_or_default();
        let mut shape = self.batch.clone();
        shape.extend([self.dims, columns]);
        check::shape("right-hand side", b, &shape)?;
        let solve = |part: &Part, b: &Tensor| -> Result<Tensor> {
            Ok(Tensor::f_linalg_lu_solve(&part.lu, &part.pivots, b, true, transposed)?)
        };
        if let [all] = self.parts.as_slice() {
            return solve(all, b);
        }
        let sides = b.f_reshape([-1, self.dims, columns])?.f_unbind(0)?;
        let pairs = self.parts.iter().zip(&sides);
        let each = pairs.map(|(part, b)| solve(part, b)).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::f_stack(&each, 0)?.f_reshape(shape.as_slice())?)
    }
}
