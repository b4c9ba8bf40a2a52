//! A linear model with normal noise, as the data and as the policy.

use maxlik_model::{Density, Sampled};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::Result;
use std::f64::consts::TAU;
use tch::{Kind, Tensor};

/// `N(W x + b, L Lᵀ)` with a lower triangular `L` whose diagonal is `eᵃ`.
#[derive(Debug)]
pub(super) struct LinearGaussian {
    weight: Tensor,
    bias: Tensor,
    /// Below the diagonal the entries of `L`, on it their logarithms `a`; above it nothing is read.
    factor: Tensor,
    event: [i64; 1],
    context: [i64; 1],
}

impl LinearGaussian {
    /// The standard normal, at the start.
    pub(super) fn new(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let zero = Init::Constant(0.0);
        Ok(Self {
            weight: scope.param("weight", &[outputs, inputs], zero)?,
            bias: scope.param("bias", &[outputs], zero)?,
            factor: scope.param("factor", &[outputs, outputs], zero)?,
            event: [outputs],
            context: [inputs],
        })
    }

    /// `L`.
    fn lower(&self) -> Result<Tensor> {
        let diagonal = self.factor.f_diagonal(0, 0, 1)?.f_exp()?;
        Ok(self.factor.f_tril(-1)?.f_add(&diagonal.f_diag_embed(0, -2, -1)?)?)
    }

    /// `L Lᵀ`, without a graph.
    pub(super) fn covariance(&self) -> Result<Tensor> {
        let lower = self.lower()?.f_detach()?;
        Ok(lower.f_matmul(&lower.f_tr()?)?)
    }

    fn mean(&self, context: Option<&Tensor>) -> Result<Tensor> {
        match context {
            Some(x) => Ok(x.f_linear(&self.weight, Some(&self.bias))?),
            None => Ok(self.bias.shallow_clone()),
        }
    }
}

impl Density for LinearGaussian {
    fn event_shape(&self) -> &[i64] {
        &self.event
    }

    fn context_shape(&self) -> Option<&[i64]> {
        Some(&self.context)
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let offset = x.f_sub(&self.mean(context)?)?.f_tr()?;
        let z = Tensor::f_linalg_solve_triangular(&self.lower()?, &offset, false, true, false)?;
        let square = z.f_square()?.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>)?;
        let log_det = self.factor.f_trace()?;
        Ok(square * -0.5 - log_det - 0.5 * TAU.ln() * self.event[0] as f64)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let options = (self.bias.kind(), self.bias.device());
        let noise = Tensor::f_randn([count, self.event[0]], options)?;
        Ok(noise.f_matmul(&self.lower()?.f_tr()?)?.f_add(&self.mean(context)?)?)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let value = self.draw(count, context)?;
        let log_prob = self.log_density(&value, context)?;
        Ok(Sampled { value, log_prob })
    }
}
