//! Conditional normals of tokens.

use super::config::{TarBlockConfig, TokenScale};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `N(mean, e^{2 log_std})` for each number of some tokens, given those before: what a block
/// standardises by, both `[B, t, C]`.
#[derive(Debug)]
pub struct TokenGaussian {
    /// `μ`.
    pub mean: Tensor,
    /// `ln σ`.
    pub log_std: Tensor,
}

/// `ln(e − 1)`, where softplus is one.
const SOFTPLUS_ONE: f64 = 0.541_324_854_612_918_1;

/// Numbers that the conditioner gives for each number of a token.
pub(super) fn parameters(config: &TarBlockConfig) -> i64 {
    if config.scale == TokenScale::Unit { 1 } else { 2 }
}

impl TokenGaussian {
    /// From the conditioner's output `[B, t, P C]`: means first, then raw scales.
    pub(super) fn read(raw: &Tensor, channels: i64, config: &TarBlockConfig) -> Result<Self> {
        let raw = match config.clip {
            Some(clip) => (raw / clip).f_tanh()? * clip,
            None => raw.shallow_clone(),
        };
        let mean = raw.f_narrow(-1, 0, channels)?;
        let log_std = match config.scale {
            TokenScale::Unit => mean.f_zeros_like()?,
            TokenScale::Exp => raw.f_narrow(-1, channels, channels)?,
            TokenScale::Softplus => {
                (raw.f_narrow(-1, channels, channels)? + SOFTPLUS_ONE).f_softplus()?.f_log()?
            }
        };
        Ok(Self { mean, log_std })
    }

    /// `z = (x − μ) / σ`.
    pub(super) fn standardize(&self, x: &Tensor) -> Result<Tensor> {
        Ok((x - &self.mean) * (-&self.log_std).f_exp()?)
    }

    /// `x = μ + σ z`.
    pub(super) fn restore(&self, z: &Tensor) -> Result<Tensor> {
        Ok(self.mean.f_addcmul(z, &self.log_std.f_exp()?)?)
    }

    /// `Σ ln σ` of each row, `[B]`.
    pub(super) fn log_volume(&self) -> Result<Tensor> {
        let dims = [1_i64, 2];
        Ok(self.log_std.f_sum_dim_intlist(dims.as_slice(), false, None::<Kind>)?)
    }
}
