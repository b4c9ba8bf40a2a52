//! WaveNets: stacks of gated dilated convolutions on sequences.

use crate::conv::{Conv, ConvShape, Reach};
use crate::{Init, Network, Scope};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of a [`WaveNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaveNetConfig {
    /// Channels of hidden layers.
    pub channels: i64,
    /// Gated layers; layer `n` has the dilation `baseⁿ`.
    pub layers: usize,
    /// Base of the dilations.
    pub base: i64,
    /// Length of the kernels, odd.
    pub kernel: i64,
    /// Whether an output sees only its own place and those before it.
    pub causal: bool,
    /// Whether convolutions are weight-normalised.
    pub weight_norm: bool,
}

impl Default for WaveNetConfig {
    fn default() -> Self {
        Self { channels: 64, layers: 2, base: 2, kernel: 3, causal: false, weight_norm: true }
    }
}

/// `h ← (h + R g) √½` with the gated `g = tanh(F h + F_c c) ⊙ σ(G h + G_c c)`; skip connections
/// `S g` of all layers add up (van den Oord et al. 2016, arXiv:1609.03499, eq. 3; in this form,
/// without causality, FloWaveNet's, Kim et al. 2019, arXiv:1811.02155).
#[derive(Debug)]
struct Gated {
    gate: Conv,
    context: Option<Conv>,
    skip: Conv,
    /// Missing in the last layer, whose own output nobody reads.
    residual: Option<Conv>,
}

/// A front convolution, gated layers, and a head `1×1, ReLU, 1×1` whose last convolution starts at
/// zero, times `e^{3 γ}` with a trained `γ` for each channel.
///
/// Maps `[B, C, T]`, with an optional context `[B, K, T]` at the same rate, to `[B, O, T]`.
#[derive(Debug)]
pub struct WaveNet {
    front: Conv,
    layers: Vec<Gated>,
    middle: Conv,
    last: Conv,
    log_gain: Tensor,
    channels: i64,
}

impl WaveNet {
    /// A network from `inputs` channels, with a context of `context` channels (zero for none), to
    /// `outputs` channels.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit.
    pub fn new(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &WaveNetConfig,
    ) -> Result<Self> {
        if config.layers == 0 || config.base < 1 {
            let why = "expected at least one layer and a base of at least one";
            let got = format!("{} and {}", config.layers, config.base);
            return Err(Error::config("wavenet", format!("{why}, got {got}")));
        }
        let channels = config.channels;
        let reach = if config.causal { Reach::Causal } else { Reach::Both };
        let conv = |scope: &Scope<'_>, shape: ConvShape| {
            if config.weight_norm {
                Conv::weight_normed(scope, shape)
            } else {
                Conv::new(scope, shape)
            }
        };
        let one = ConvShape::sequence(channels, channels, 1);
        let wide = ConvShape { kernel: config.kernel, reach, ..one };
        let layer = |i: usize| -> Result<Gated> {
            let scope = scope.sub("layers").sub(i);
            let dilation = u32::try_from(i).ok().and_then(|n| config.base.checked_pow(n));
            let dilation = dilation
                .ok_or_else(|| Error::config("layers", "the dilation is beyond any sequence"))?;
            let gate = ConvShape { outputs: 2 * channels, dilation, ..wide };
            let given = ConvShape { inputs: context, outputs: 2 * channels, ..one };
            let read = (context > 0).then(|| conv(&scope.sub("context"), given)).transpose()?;
            let inner = i + 1 < config.layers;
            Ok(Gated {
                gate: conv(&scope.sub("gate"), gate)?,
                context: read,
                skip: conv(&scope.sub("skip"), one)?,
                residual: inner.then(|| conv(&scope.sub("residual"), one)).transpose()?,
            })
        };
        Ok(Self {
            front: conv(&scope.sub("front"), ConvShape { inputs, ..wide })?,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            middle: conv(&scope.sub("middle"), one)?,
            last: Conv::zero(&scope.sub("last"), ConvShape { outputs, ..one })?,
            log_gain: scope.param("log_gain", &[outputs, 1], Init::Constant(0.0))?,
            channels,
        })
    }
}

impl Network for WaveNet {
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut h = self.front.forward(x)?.f_relu()?;
        let mut skips: Option<Tensor> = None;
        for layer in &self.layers {
            let mut both = layer.gate.forward(&h)?;
            if let (Some(read), Some(context)) = (&layer.context, context) {
                both = both.f_add(&read.forward(context)?)?;
            }
            let filter = both.f_narrow(1, 0, self.channels)?.f_tanh()?;
            let open = both.f_narrow(1, self.channels, self.channels)?.f_sigmoid()?;
            let gated = filter.f_mul(&open)?;
            let skip = layer.skip.forward(&gated)?;
            skips = Some(match skips {
                Some(before) => before.f_add(&skip)?,
                None => skip,
            });
            if let Some(residual) = &layer.residual {
                h = h.f_add(&residual.forward(&gated)?)? * std::f64::consts::FRAC_1_SQRT_2;
            }
        }
        let h = skips.unwrap_or(h).f_relu()?;
        let h = self.last.forward(&self.middle.forward(&h)?.f_relu()?)?;
        Ok(h.f_mul(&(&self.log_gain * 3.0).f_exp()?)?)
    }
}
