//! Second-order flow matching.

use super::VelocityMatching;
use super::velocity::Noised;
use crate::transport::{batch_mean, square_norm};
use maxlik_model::{Batch, Loss, Metric, Objective, VectorField};
use maxlik_ode::diffusion::NoisePath;
use maxlik_ode::trace::{Noise, probe_divergence};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Velocity matching with a term for the velocity's divergence, for fine-tuning (Zheng et al. 2023,
/// arXiv:2305.03935, sec. 4.3): the best velocity has
/// `σ div F = α (d − E[‖F* − F‖² | z])` (variance preserving), or
/// `σ div F = d/√2 − √2 α E[‖F* − F‖² | z]` (straight); the square of the difference, with `‖F* − F‖²` as a
/// constant and the divergence by one probe, is weighted by `strength · weight/d` and added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SecondOrder {
    /// The first-order part.
    pub first: VelocityMatching,
    /// Weight of the second-order part; 0.1 in the paper's code.
    pub strength: f64,
}

/// Both parts of each row, `[B]`.
#[derive(Debug)]
pub struct Parts {
    /// The first-order loss in nats.
    pub first: Tensor,
    /// The residual `σ div F − …`.
    pub residual: Tensor,
    /// `strength · weight · residual²/d`.
    pub second: Tensor,
}

impl SecondOrder {
    /// Both parts for given `γ` `[B]`, noise of the shape of the data, and probe `[K, B, …]`, whose
    /// squares average the divergence.
    ///
    /// # Errors
    /// [`Error::Shape`] for arguments or a velocity that do not fit, and those of the network.
    pub fn loss_at(
        &self,
        network: &dyn VectorField,
        batch: &Batch,
        gamma: &Tensor,
        noise: &Tensor,
        probe: &Tensor,
    ) -> Result<Parts> {
        let Noised { z, target } = self.first.noised(&batch.data, gamma, noise)?;
        let context = batch.context.as_ref();
        let traced = probe_divergence(&|z| network.velocity(gamma, z, context), &z, probe, false)?;
        let square = square_norm(&traced.velocity.f_sub(&target)?)?;
        let levels = self.first.path.levels(gamma)?;
        let constant = square.f_detach()?;
        let dims = z.size()[1..].iter().product::<i64>() as f64;
        let divergence = traced.divergence.f_mul(&levels.sigma)?;
        let residual = match self.first.path {
            NoisePath::VariancePreserving => {
                divergence.f_sub(&constant.f_neg()?.f_add_scalar(dims)?.f_mul(&levels.alpha)?)?
            }
            NoisePath::Straight => {
                let scaled = constant.f_mul(&levels.alpha)?;
                let scaled = scaled.f_mul_scalar(std::f64::consts::SQRT_2)?;
                let shifted = divergence.f_sub_scalar(dims * std::f64::consts::FRAC_1_SQRT_2)?;
                shifted.f_add(&scaled)?
            }
        };
        let weight = self.first.weight(gamma)?;
        let second = residual.f_square()?.f_mul(&weight)?.f_mul_scalar(self.strength / dims)?;
        Ok(Parts { first: square.f_mul(&weight)?, residual, second })
    }
}

impl Objective<dyn VectorField> for SecondOrder {
    fn loss(&self, network: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        if !(self.strength >= 0.0 && self.strength.is_finite()) {
            let why = format!("expected a number of at least 0, got {}", self.strength);
            return Err(Error::config("strength", why));
        }
        let data = &batch.data;
        let gamma = self.first.draw(data)?;
        let mut shape = data.size();
        shape.insert(0, 1);
        let probe = Noise::Rademacher.draw(&shape, data)?;
        let parts = self.loss_at(network, batch, &gamma, &data.f_randn_like()?, &probe)?;
        let metric = |name, each: &Tensor| -> Result<Metric> {
            Ok(Metric { name, value: each.f_mean(None::<Kind>)?.f_detach()? })
        };
        let metrics = vec![
            metric("first", &parts.first)?,
            metric("residual_square", &parts.residual.f_square()?)?,
        ];
        let value = batch_mean(&parts.first.f_add(&parts.second)?, batch.weight.as_ref())?;
        Ok(Loss { value, metrics })
    }
}
