//! Glow.

use super::Squeeze2d;
use crate::linear::{Pointwise, PointwiseBy};
use crate::univariate::{Affine, Scale, Univariate};
use crate::{ActNorm, Compose, FieldCoupling, FieldMask, Level, Multiscale, UnivariateConfig};
use maxlik_model::Bijection;
use maxlik_nn::{ConvNet, ConvNetConfig, Scope};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// Shape of a Glow (Kingma and Dhariwal 2018, arXiv:1807.03039).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GlowConfig {
    /// Scales; the image is squeezed at the start of each.
    pub levels: usize,
    /// Steps of flow on each scale: ActNorm, invertible 1×1 convolution, coupling.
    pub steps: usize,
    /// Conditioners of couplings and priors.
    pub network: ConvNetConfig,
    /// Elementwise map of the couplings.
    pub map: UnivariateConfig,
    /// The 1×1 convolutions.
    pub conv: PointwiseBy,
    /// Whether what leaves a scale has a learned prior given what goes on; a standard normal
    /// otherwise.
    pub learned_prior: bool,
}

impl Default for GlowConfig {
    fn default() -> Self {
        Self {
            levels: 2,
            steps: 4,
            network: ConvNetConfig::default(),
            map: UnivariateConfig::Affine { scale: Scale::default() },
            conv: PointwiseBy::Plain,
            learned_prior: true,
        }
    }
}

impl GlowConfig {
    /// The bijection from images `[C, H, W]`, with a context of this size, to `[C H W]`.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit the image.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        image: [i64; 3],
        context: Option<i64>,
    ) -> Result<Multiscale> {
        let mut shape = image;
        let mut levels = Vec::with_capacity(self.levels);
        for i in 0..self.levels {
            let scope = scope.sub(i);
            let squeeze = Squeeze2d::new(shape)?;
            shape = [4 * shape[0], shape[1] / 2, shape[2] / 2];
            let mut steps: Vec<Box<dyn Bijection>> = vec![Box::new(squeeze)];
            for step in 0..self.steps {
                let scope = scope.sub(step);
                steps.push(Box::new(ActNorm::new(&scope.sub("norm"), &shape)?));
                steps.push(Box::new(Pointwise::convolution(&scope.sub("mix"), &shape, self.conv)?));
                let map = self.map.build()?;
                let coupling = self.coupling(&scope.sub("coupling"), shape, context, map)?;
                steps.push(Box::new(coupling));
            }
            let last = i + 1 == self.levels;
            let prior = if self.learned_prior && !last {
                let affine = Box::new(Affine { scale: Scale::default() });
                let prior = self.coupling(&scope.sub("prior"), shape, context, affine)?;
                Some(Box::new(prior) as Box<dyn Bijection>)
            } else {
                None
            };
            levels.push(Level { steps: Box::new(Compose::new(steps)?), prior });
            shape[0] /= 2;
        }
        if self.steps == 0 {
            return Err(Error::config("steps", "expected at least one step"));
        }
        Multiscale::new(levels)
    }

    fn coupling(
        &self,
        scope: &Scope<'_>,
        shape: [i64; 3],
        context: Option<i64>,
        map: Box<dyn Univariate>,
    ) -> Result<FieldCoupling> {
        let given = context.map(|size| [size]);
        FieldCoupling::new(
            &shape,
            FieldMask::UpperChannels,
            map,
            given.as_ref().map(<[i64; 1]>::as_slice),
            scope.device(),
            |at| {
                let (inputs, outputs) = (at.inputs, at.outputs);
                let network =
                    ConvNet::new(scope, inputs, context.unwrap_or(0), outputs, &self.network)?;
                Ok(Box::new(network))
            },
        )
    }
}
