//! FloWaveNet.

use super::half::HalfContext;
use super::{AtRate, Squeeze1d};
use crate::univariate::{Affine, Scale};
use crate::{ActNorm, Compose, FieldCoupling, FieldMask, Level, Multiscale};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Scope, Upsample, WaveNet, WaveNetConfig};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of a [`FloWaveNet`]. The defaults are a small one; the paper's has 8 blocks of 6 flows with
/// 256 channels, a split after 4 blocks, and strides 16 and 16 for 80 mel bands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FloWaveNetConfig {
    /// Blocks; the waveform is squeezed at the start of each.
    pub blocks: usize,
    /// Flows of a block, each ActNorm and an affine coupling; an even number, so that both halves
    /// change equally often.
    pub flows: usize,
    /// Half of the channels leaves after every so many blocks, never after the last; zero for never.
    pub blocks_per_split: usize,
    /// Conditioners.
    pub wavenet: WaveNetConfig,
    /// Strides from the rate of the context's frames to that of the waveform, even numbers; empty
    /// where the context comes at the waveform's rate.
    pub strides: Vec<i64>,
}

impl Default for FloWaveNetConfig {
    fn default() -> Self {
        Self {
            blocks: 3,
            flows: 4,
            blocks_per_split: 2,
            wavenet: WaveNetConfig::default(),
            strides: vec![4, 4],
        }
    }
}

/// A multi-scale flow on waveforms `[1, T]` conditioned on spectra `[K, F]` with
/// `T = F · ∏ strides` (Kim et al. 2019, "FloWaveNet: a generative flow for raw audio",
/// arXiv:1811.02155): one pass for a log-density, and one parallel pass for a sample.
///
/// Maps onto `[T]`. Couplings are affine, `z = x eᵃ + b` with non-causal WaveNets as conditioners, and
/// see the half of the context that belongs to the half of the channels they keep. Waveform and
/// context are squeezed in step. What leaves at a split has a normal with mean and scale from a
/// WaveNet.
#[derive(Debug)]
pub struct FloWaveNet {
    upsample: Option<Upsample>,
    flow: Multiscale,
    context: [i64; 2],
}

impl FloWaveNet {
    /// A flow on waveforms of `frames · ∏ strides` samples, with contexts `[bands, frames]`.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit each other.
    pub fn new(
        scope: &Scope<'_>,
        bands: i64,
        frames: i64,
        config: &FloWaveNetConfig,
    ) -> Result<Self> {
        let length = frames * config.strides.iter().product::<i64>();
        if config.flows == 0 || !config.flows.is_multiple_of(2) {
            let why = format!("expected an even number from 2 on, got {}", config.flows);
            return Err(Error::config("flows", why));
        }
        let factor = 1_i64 << config.blocks.min(40);
        if config.blocks == 0 || length % factor != 0 || length == 0 {
            let why = format!("{length} samples cannot be halved {} times", config.blocks);
            return Err(Error::config("blocks", why));
        }
        let mut shape = [1, length];
        let mut levels = Vec::new();
        let mut steps: Vec<Box<dyn Bijection>> = Vec::new();
        for block in 0..config.blocks {
            let build = Block { scope: scope.sub("blocks").sub(block), bands, length, config };
            steps.push(Box::new(Squeeze1d::new(shape)?));
            shape = [2 * shape[0], shape[1] / 2];
            steps.push(build.flows(shape, block + 1)?);
            let last = block + 1 == config.blocks;
            let splits = config.blocks_per_split > 0
                && (block + 1).is_multiple_of(config.blocks_per_split)
                && !last;
            if splits {
                let prior = build.prior(shape, block + 1)?;
                let done = Compose::new(std::mem::take(&mut steps))?;
                levels.push(Level { steps: Box::new(done), prior: Some(prior) });
                shape[0] /= 2;
            }
        }
        levels.push(Level { steps: Box::new(Compose::new(steps)?), prior: None });
        let upsample = (!config.strides.is_empty())
            .then(|| Upsample::new(&scope.sub("upsample"), &config.strides))
            .transpose()?;
        Ok(Self { upsample, flow: Multiscale::new(levels)?, context: [bands, frames] })
    }

    fn at_rate(&self, context: Option<&Tensor>) -> Result<Option<Tensor>> {
        match (&self.upsample, context) {
            (Some(upsample), Some(context)) => Ok(Some(upsample.forward(context)?)),
            (_, context) => Ok(context.map(Tensor::shallow_clone)),
        }
    }
}

/// What one block is built from.
struct Block<'a> {
    scope: Scope<'a>,
    bands: i64,
    length: i64,
    config: &'a FloWaveNetConfig,
}

impl Block<'_> {
    /// The flows on `[C, T]`.
    fn flows(&self, shape: [i64; 2], squeezes: usize) -> Result<Box<dyn Bijection>> {
        let mut flows: Vec<Box<dyn Bijection>> = Vec::new();
        for flow in 0..self.config.flows {
            let scope = self.scope.sub("flows").sub(flow);
            flows.push(Box::new(ActNorm::new(&scope.sub("norm"), &shape)?));
            // Turns about which half changes do what swapping the halves of both would.
            let upper_changes = flow % 2 == 0;
            flows.push(Box::new(self.coupling(&scope, shape, squeezes, upper_changes)?));
        }
        let flows = Box::new(Compose::new(flows)?);
        Ok(Box::new(AtRate::new(flows, [self.bands, self.length], squeezes)?))
    }

    fn context(&self, squeezes: usize) -> [i64; 2] {
        [self.bands << squeezes, self.length >> squeezes]
    }

    fn coupling(
        &self,
        scope: &Scope<'_>,
        shape: [i64; 2],
        squeezes: usize,
        upper_changes: bool,
    ) -> Result<FieldCoupling> {
        let context = self.context(squeezes);
        let mask = if upper_changes { FieldMask::UpperChannels } else { FieldMask::LowerChannels };
        let affine = Box::new(Affine { scale: Scale::Exp {} });
        FieldCoupling::new(&shape, mask, affine, Some(&context), scope.device(), |at| {
            let scope = scope.sub("wavenet");
            let (inputs, outputs) = (at.inputs, at.outputs);
            let inner =
                WaveNet::new(&scope, inputs, context[0] / 2, outputs, &self.config.wavenet)?;
            Ok(Box::new(HalfContext { inner, upper: !upper_changes }))
        })
    }

    fn prior(&self, shape: [i64; 2], squeezes: usize) -> Result<Box<dyn Bijection>> {
        let context = self.context(squeezes);
        let (scope, mask) = (self.scope.sub("prior"), FieldMask::UpperChannels);
        let affine = Box::new(Affine { scale: Scale::Exp {} });
        let prior =
            FieldCoupling::new(&shape, mask, affine, Some(&context), scope.device(), |at| {
                let config = &self.config.wavenet;
                Ok(Box::new(WaveNet::new(&scope, at.inputs, context[0], at.outputs, config)?))
            })?;
        Ok(Box::new(AtRate::new(Box::new(prior), [self.bands, self.length], squeezes)?))
    }
}

impl Bijection for FloWaveNet {
    fn domain(&self) -> &[i64] {
        self.flow.domain()
    }

    fn codomain(&self) -> &[i64] {
        self.flow.codomain()
    }

    fn context_shape(&self) -> Option<&[i64]> {
        Some(&self.context)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.flow.map(x, self.at_rate(context)?.as_ref())
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.flow.unmap(z, self.at_rate(context)?.as_ref())
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.flow.initialize(x, self.at_rate(context)?.as_ref())
    }
}
