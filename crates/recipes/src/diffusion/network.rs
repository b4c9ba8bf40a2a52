//! The networks of a diffusion model.

use super::process::{Process, own_time};
use crate::features;
use maxlik_model::VectorField;
use maxlik_nn::{Network, ResidualConfig, ResidualNet, Scope};
use maxlik_ode::MlpField;
use maxlik_ode::diffusion::NoisePath;
use maxlik_tensor::Result;
use std::f64::consts::PI;
use std::sync::{Arc, Mutex, PoisonError};
use tch::Tensor;

/// Frequencies of the features of the noise level.
const FREQUENCIES: i32 = 4;

/// A residual network on the noised data, of unit size, and on `γ = ln(σ²/α²)` by sines.
///
/// Of data on a grid it sees two waves too, of one and of two bins in a period: at small noise the
/// prediction is nearly where in its bin an entry stands, which is no smooth function of the entry.
/// Factors `e^{−½ (ωσ/α)²}`, the mean over the noise, let the waves fade where noise hides the bins.
#[derive(Debug)]
pub(super) struct FeatureNet {
    net: ResidualNet,
    process: Process,
    gammas: [f64; 2],
    waves: Vec<f64>,
}

impl FeatureNet {
    /// A network on events of `d` numbers; of data in `[−1, 1]` with so many `levels`.
    pub(super) fn new(
        scope: &Scope<'_>,
        d: i64,
        process: Process,
        levels: Option<u32>,
        config: &ResidualConfig,
    ) -> Result<Self> {
        let ends = process.ends()?;
        let gamma = |[alpha, sigma]: [f64; 2]| 2.0 * (sigma / alpha).ln();
        let waves = levels.map_or(vec![], |n| vec![PI * f64::from(n), 0.5 * PI * f64::from(n)]);
        let inputs = d * (1 + 2 * waves.len() as i64);
        let net = ResidualNet::new(scope, inputs, 1 + 2 * i64::from(FREQUENCIES), d, config)?;
        Ok(Self { net, process, gammas: [gamma(ends.data), gamma(ends.noise)], waves })
    }
}

impl VectorField for FeatureNet {
    fn velocity(&self, time: &Tensor, z: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let levels = self.process.levels(&time.f_view([-1, 1])?)?;
        let (alpha, sigma) = (levels.alpha, levels.sigma);
        let size = (alpha.f_square()? + sigma.f_square()?).f_sqrt()?;
        let mut inputs = vec![z / size];
        let noise = &sigma / &alpha;
        if !self.waves.is_empty() {
            let clean = z / &alpha;
            for &wave in &self.waves {
                inputs.extend(features::fading_wave(&clean, &noise, wave)?);
            }
        }
        let [low, high] = self.gammas;
        let t = (noise.f_log()? * 2.0 - low) / (high - low);
        let times = features::time(&t, FREQUENCIES)?;
        self.net.forward(&Tensor::f_cat(&inputs, 1)?, Some(&times))
    }
}

/// A network with several owners: density, objective and bound.
#[derive(Debug)]
pub(super) enum Shared {
    /// A perceptron, which kernels solve.
    Plain(MlpField),
    /// A perceptron on points of unit size, for processes that do not keep it.
    Scaled(MlpField, Process),
    /// A residual network.
    Featured(Arc<Mutex<FeatureNet>>),
}

impl Shared {
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Plain(field) => Self::Plain(field.share()),
            Self::Scaled(field, process) => Self::Scaled(field.share(), *process),
            Self::Featured(net) => Self::Featured(Arc::clone(net)),
        }
    }
}

impl VectorField for Shared {
    fn velocity(&self, time: &Tensor, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        match self {
            Self::Plain(field) => field.velocity(time, z, context),
            Self::Scaled(field, process) => {
                let levels = process.levels(&time.f_view([-1, 1])?)?;
                let size = (levels.alpha.f_square()? + levels.sigma.f_square()?).f_sqrt()?;
                field.velocity(time, &(z / size), context)
            }
            // A panic cannot leave the network half-changed: `velocity` takes `&self`.
            Self::Featured(net) => {
                net.lock().unwrap_or_else(PoisonError::into_inner).velocity(time, z, context)
            }
        }
    }
}

/// The network under the time `γ`, as objectives in `γ` ask for it.
#[derive(Debug)]
pub(super) struct InGamma {
    pub(super) path: NoisePath,
    pub(super) network: Shared,
}

impl VectorField for InGamma {
    fn velocity(&self, gamma: &Tensor, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.network.velocity(&own_time(self.path, gamma)?, z, context)
    }
}
