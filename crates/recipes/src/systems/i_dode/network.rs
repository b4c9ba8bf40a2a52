//! The velocity network on digits.

use super::digits::{DIMS, G0, G1, LEVELS, PATH};
use crate::features;
use maxlik_model::VectorField;
use maxlik_nn::{Activation, Network, Params, ResidualConfig, ResidualNet};
use maxlik_ode::diffusion::Levels;
use maxlik_tensor::Result;
use std::f64::consts::PI;
use tch::Tensor;

/// Waves of the pixels: one bin, and two, in a period.
const WAVES: [f64; 2] = [PI * LEVELS, 0.5 * PI * LEVELS];
/// Frequencies of the time's features.
const TIMES: i32 = 4;

/// A residual perceptron on the noised pixels, waves of them, and `γ`.
///
/// At small noise the velocity is nearly the noise itself, which is where in its bin a pixel stands: no
/// smooth function of the pixel, but near a sine whose period is a bin. So the network sees
/// `e^{−½ (ωσ/α)²}` times the sine and cosine of `ω z/α`: with this factor, their mean over the noise
/// relative to those of clean data, they fade where noise hides the bins.
#[derive(Debug)]
pub(super) struct DigitNet(ResidualNet);

impl DigitNet {
    /// A network with parameters in `params`; starts at some small velocity.
    ///
    /// # Errors
    /// Those of [`ResidualNet::new`].
    pub(super) fn new(params: &Params, hidden: i64) -> Result<Self> {
        let config =
            ResidualConfig { hidden, blocks: 2, activation: Activation::Silu, dropout: 0.1 };
        let inputs = DIMS * (1 + 2 * WAVES.len() as i64);
        let times = 1 + 2 * i64::from(TIMES);
        Ok(Self(ResidualNet::new(&params.root(), inputs, times, DIMS, &config)?))
    }
}

impl VectorField for DigitNet {
    fn velocity(&self, gamma: &Tensor, z: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let gamma = gamma.f_view([-1, 1])?;
        let Levels { alpha, sigma } = PATH.levels(&gamma)?;
        let (clean, noise) = (z / &alpha, sigma / alpha);
        let mut inputs = vec![z.shallow_clone()];
        for wave in WAVES {
            inputs.extend(features::fading_wave(&clean, &noise, wave)?);
        }
        let t = (gamma - G0) / (G1 - G0);
        let times = features::time(&t, TIMES)?;
        self.0.forward(&Tensor::f_cat(&inputs, 1)?, Some(&times))
    }
}
