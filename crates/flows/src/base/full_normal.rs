//! Normal distributions with a full covariance.

use super::HALF_LN_TAU;
use crate::{NetworkConfig, Parameters};
use maxlik_model::{Density, Sampled};
use maxlik_nn::Scope;
use maxlik_tensor::Result;
use tch::{Device, Kind, Tensor};

/// `N(m, L Lᵀ)` on `[D]` with a lower triangular `L` of the diagonal `eᵃ`; the parameters `m`, `a` and
/// the rest of `L` are trained or computed from the context by a network.
///
/// `ln p(x) = −½ ‖L⁻¹ (x − m)‖² − Σ a − D ln √2π`: one triangular solve, `½ D²` multiplications a row.
#[derive(Debug)]
pub struct FullNormal {
    shape: [i64; 1],
    parameters: Parameters,
    /// Places of the entries below the diagonal in a flattened `[D, D]`.
    below: Tensor,
    options: (Kind, Device),
}

/// `[R, D]`, `[R, D]` and `[R, D, D]`, with one row where there is no context.
struct Factors {
    mean: Tensor,
    log_diagonal: Tensor,
    lower: Tensor,
}

impl FullNormal {
    /// The standard normal on `[D]`, at the start.
    ///
    /// # Errors
    /// Those of [`Parameters::new`].
    pub fn new(
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        let count = 2 * dims + dims * (dims - 1) / 2;
        let start = Tensor::f_zeros([count], (Kind::Double, Device::Cpu))?;
        let places = Tensor::f_tril_indices(dims, dims, -1, (Kind::Int64, Device::Cpu))?;
        let below = places.f_select(0, 0)? * dims + places.f_select(0, 1)?;
        Ok(Self {
            shape: [dims],
            parameters: Parameters::new(scope, &start, context, network)?,
            below: below.f_to_device(scope.device())?,
            options: (scope.kind(), scope.device()),
        })
    }

    fn factors(&self, rows: i64, context: Option<&Tensor>) -> Result<Factors> {
        let dims = self.shape[0];
        let rows = if self.context_shape().is_some() { rows } else { 1 };
        let raw = self.parameters.get(rows, context)?;
        let log_diagonal = raw.f_narrow(1, dims, dims)?;
        let rest = raw.f_narrow(1, 2 * dims, raw.size()[1] - 2 * dims)?;
        let strict = Tensor::f_zeros([rows, dims * dims], self.options)?;
        let strict = strict.f_index_copy(1, &self.below, &rest)?.f_reshape([rows, dims, dims])?;
        let lower = strict + log_diagonal.f_exp()?.f_diag_embed(0, -2, -1)?;
        Ok(Factors { mean: raw.f_narrow(1, 0, dims)?, log_diagonal, lower })
    }
}

impl Density for FullNormal {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.parameters.context_shape()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let Factors { mean, log_diagonal, lower } = self.factors(x.size()[0], context)?;
        let offset = x - mean;
        // One matrix for all rows solves them as columns; else each row has its own.
        let z = if self.context_shape().is_none() {
            let columns = offset.f_transpose(0, 1)?.f_unsqueeze(0)?;
            let solved = Tensor::f_linalg_solve_triangular(&lower, &columns, false, true, false)?;
            solved.f_squeeze_dim(0)?.f_transpose(0, 1)?
        } else {
            let columns = offset.f_unsqueeze(-1)?;
            Tensor::f_linalg_solve_triangular(&lower, &columns, false, true, false)?
                .f_squeeze_dim(-1)?
        };
        let last = [-1_i64];
        let sum = |t: &Tensor| t.f_sum_dim_intlist(last.as_slice(), false, None::<Kind>);
        Ok(sum(&z.f_square()?)? * -0.5 - sum(&log_diagonal)? - HALF_LN_TAU * self.shape[0] as f64)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let Factors { mean, lower, .. } = self.factors(count, context)?;
        let z = Tensor::f_randn([count, self.shape[0], 1], self.options)?;
        Ok(lower.f_matmul(&z)?.f_squeeze_dim(-1)?.f_add(&mean)?)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let value = self.draw(count, context)?;
        let log_prob = self.log_density(&value, context)?;
        Ok(Sampled { value, log_prob })
    }
}
