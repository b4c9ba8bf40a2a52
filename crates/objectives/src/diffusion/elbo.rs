//! The evidence lower bound of discrete data.

use super::VelocityMatching;
use crate::transport::{column, square_norm};
use maxlik_model::{Batch, VectorField};
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// The negative evidence lower bound of a variational diffusion model on data with values on a grid
/// (Kingma et al. 2021, arXiv:2107.00630, eq. 11): reconstruction at `g0`, prior at `g1`, and the
/// diffusion part of [`VelocityMatching`] between them.
#[derive(Debug)]
pub struct Elbo {
    /// The diffusion part.
    pub diffusion: VelocityMatching,
    /// The values that an entry of the data can have, `[levels]`.
    pub grid: Tensor,
}

/// The terms of each row in nats, `[B]`.
#[derive(Debug)]
pub struct ElboTerms {
    /// `−ln p(x | z_0)`, the discretised normal of standard deviation `e^{g0/2}` at `z_0/α_0`.
    pub reconstruction: Tensor,
    /// `KL(N(α_1 x, σ_1² I) ‖ N(0, I))`.
    pub prior: Tensor,
    /// [`VelocityMatching::loss_at`].
    pub diffusion: Tensor,
}

impl ElboTerms {
    /// Their sum, a bound on `−ln P(x)` in the mean, as bits for each of `dims` dimensions, `[B]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn bits_per_dim(&self, dims: i64) -> Result<Tensor> {
        let sum = self.reconstruction.f_add(&self.prior)?.f_add(&self.diffusion)?;
        Ok(sum.f_mul_scalar(1.0 / (dims as f64 * std::f64::consts::LN_2))?)
    }
}

impl Elbo {
    /// The terms for given `γ` `[B]` and two draws of noise of the shape of the data: of the diffusion
    /// part, and of `z_0`.
    ///
    /// # Errors
    /// [`Error::Shape`] for arguments that do not fit, and those of the network.
    pub fn terms_at(
        &self,
        network: &dyn VectorField,
        batch: &Batch,
        gamma: &Tensor,
        noise: &Tensor,
        first: &Tensor,
    ) -> Result<ElboTerms> {
        let x = &batch.data;
        check::shape("first", first, &x.size())?;
        if self.grid.dim() != 1 || self.grid.size()[0] < 1 {
            return Err(Error::shape("grid", "[levels]", &self.grid.size()));
        }
        let diffusion = self.diffusion.loss_at(network, batch, gamma, noise)?;
        let (path, rows) = (self.diffusion.path, x.size()[0]);
        let at = |g: f64| path.levels(&gamma.f_full_like(g)?);
        let end = at(self.diffusion.g1)?;
        let variance = end.sigma.f_square()?;
        let dims = x.size()[1..].iter().product::<i64>() as f64;
        // ½ (d (σ² − 1 − ln σ²) + α² ‖x‖²).
        let spread = variance.f_sub(&variance.f_log()?)?.f_add_scalar(-1.0)?.f_mul_scalar(dims)?;
        let prior = square_norm(&x.f_mul(&column(&end.alpha, x)?)?)?.f_add(&spread)?;
        // z_0/α_0 = x + e^{g0/2} ε.
        let std = (0.5 * self.diffusion.g0).exp();
        let centre = x.f_add(&first.f_mul_scalar(std)?)?.f_unsqueeze(-1)?;
        let grid = self.grid.f_to_kind(x.kind())?.f_to_device(x.device())?;
        let log_weight = |value: &Tensor| -> Result<Tensor> {
            Ok(centre.f_sub(value)?.f_square()?.f_mul_scalar(-0.5 / (std * std))?)
        };
        let own = log_weight(&x.f_unsqueeze(-1)?)?.f_squeeze_dim(-1)?;
        let all = log_weight(&grid)?.f_logsumexp([-1_i64].as_slice(), false)?;
        let each = all.f_sub(&own)?.f_reshape([rows, -1])?;
        let reconstruction = each.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
        Ok(ElboTerms { reconstruction, prior: prior.f_mul_scalar(0.5)?, diffusion })
    }
}
