//! The evidence lower bound of discrete data.

use super::VelocityMatching;
use super::terms::{prior_divergence, reconstruction};
use maxlik_model::{Batch, VectorField};
use maxlik_tensor::{Result, host};
use tch::Tensor;

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
    /// [`maxlik_tensor::Error::Shape`] for arguments that do not fit, and those of the network.
    pub fn terms_at(
        &self,
        network: &dyn VectorField,
        batch: &Batch,
        gamma: &Tensor,
        noise: &Tensor,
        first: &Tensor,
    ) -> Result<ElboTerms> {
        let x = &batch.data;
        let diffusion = self.diffusion.loss_at(network, batch, gamma, noise)?;
        let end = Tensor::f_from_slice(&[self.diffusion.g1])?;
        let end = self.diffusion.path.levels(&end)?;
        let end = [host::scalar(&end.alpha)?, host::scalar(&end.sigma)?];
        let std = (0.5 * self.diffusion.g0).exp();
        Ok(ElboTerms {
            reconstruction: reconstruction(x, &self.grid, std, first)?,
            prior: prior_divergence(x, end, 1.0)?,
            diffusion,
        })
    }
}
