//! Convolutional networks on images.

use crate::conv::{Conv, ConvShape};
use crate::{Activation, Dropout, Init, Network, Scope};
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of a [`ConvNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConvNetConfig {
    /// Channels of hidden layers.
    pub hidden: i64,
    /// Residual blocks.
    pub blocks: usize,
    /// Side of the kernels, odd.
    pub kernel: i64,
    /// Nonlinearity.
    pub activation: Activation,
    /// Dropout rate inside each block.
    pub dropout: f64,
}

impl Default for ConvNetConfig {
    fn default() -> Self {
        Self { hidden: 64, blocks: 1, kernel: 3, activation: Activation::Relu, dropout: 0.0 }
    }
}

/// A convolution, residual blocks `h + C₁(a(C_k(a(h))))` of a `k × k` and a `1 × 1` convolution, and
/// a last convolution that starts at zero, so that a coupling layer starts as the identity (as in
/// Glow, arXiv:1807.03039, section 3.3).
///
/// Maps `[B, C, H, W]`, with an optional context `[B, K]` that shifts the channels of the first
/// hidden layer, to `[B, O, H, W]`.
#[derive(Debug)]
pub struct ConvNet {
    input: Conv,
    context: Option<Tensor>,
    blocks: Vec<(Conv, Conv)>,
    output: Conv,
    activation: Activation,
    dropout: Dropout,
}

impl ConvNet {
    /// A network from `inputs` channels, with a context of `context` numbers (zero for none), to
    /// `outputs` channels.
    ///
    /// # Errors
    /// Those of [`Conv::new`] and [`Dropout::new`].
    pub fn new(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &ConvNetConfig,
    ) -> Result<Self> {
        let (hidden, kernel) = (config.hidden, config.kernel);
        let conv = |name: &str, i: usize, kernel: i64| {
            Conv::new(&scope.sub(name).sub(i), ConvShape::image(hidden, hidden, kernel))
        };
        let block = |i: usize| Ok((conv("wide", i, kernel)?, conv("narrow", i, 1)?));
        let bound = 1.0 / (context.max(1) as f64).sqrt();
        let embed = || scope.param("context", &[hidden, context], Init::Uniform(bound));
        Ok(Self {
            input: Conv::new(&scope.sub("input"), ConvShape::image(inputs, hidden, kernel))?,
            context: (context > 0).then(embed).transpose()?,
            blocks: (0..config.blocks).map(block).collect::<Result<_>>()?,
            output: Conv::zero(&scope.sub("output"), ConvShape::image(hidden, outputs, kernel))?,
            activation: config.activation,
            dropout: Dropout::new(scope, config.dropout)?,
        })
    }
}

impl Network for ConvNet {
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut h = self.input.forward(x)?;
        if let (Some(weight), Some(context)) = (&self.context, context) {
            let shift = context.f_linear(weight, None::<&Tensor>)?;
            h = h.f_add(&shift.f_unsqueeze(-1)?.f_unsqueeze(-1)?)?;
        }
        for (wide, narrow) in &self.blocks {
            let inner = wide.forward(&self.activation.apply(&h)?)?;
            let inner = self.dropout.forward(&self.activation.apply(&inner)?)?;
            h = h.f_add(&narrow.forward(&inner)?)?;
        }
        self.output.forward(&self.activation.apply(&h)?)
    }
}
