//! The network between attentions.

use super::config::{FeedForward, TransformerConfig};
use crate::{Init, Linear, Scope};
use maxlik_tensor::Result;
use maxlik_tensor::gelu::Gelu;
use maxlik_tensor::perceptron::{self, Between};
use tch::Tensor;

/// What stands between the maps.
#[derive(Debug)]
enum Gate {
    Gelu(Gelu),
    Swiglu(Linear),
}

impl Gate {
    fn share(&self) -> Self {
        match self {
            Self::Gelu(gelu) => Self::Gelu(*gelu),
            Self::Swiglu(linear) => Self::Swiglu(linear.share()),
        }
    }
}

/// Two linear maps with a nonlinearity or a gate between them, applied to each token.
#[derive(Debug)]
pub(super) struct FeedForwardLayer {
    input: Linear,
    gate: Gate,
    output: Linear,
}

impl FeedForwardLayer {
    pub(super) fn new(scope: &Scope<'_>, config: &TransformerConfig) -> Result<Self> {
        let (width, hidden) = (config.width, config.width * config.expansion);
        let gate = match config.feed_forward {
            FeedForward::Gelu => Gate::Gelu(Gelu::Exact),
            FeedForward::GeluTanh => Gate::Gelu(Gelu::Tanh),
            FeedForward::Swiglu => Gate::Swiglu(Linear::new(&scope.sub("gate"), width, hidden)?),
        };
        let bound = 1.0 / (hidden as f64 * 2.0 * config.layers.max(1) as f64).sqrt();
        let (weight, bias) = (Init::Uniform(bound), Init::Constant(0.0));
        Ok(Self {
            input: Linear::new(&scope.sub("input"), width, hidden)?,
            gate,
            output: Linear::with_init(&scope.sub("output"), hidden, width, weight, bias)?,
        })
    }

    /// The same once more: its tensors are this one's.
    pub(super) fn share(&self) -> Self {
        Self { input: self.input.share(), gate: self.gate.share(), output: self.output.share() }
    }

    pub(super) fn forward(&self, h: &Tensor) -> Result<Tensor> {
        match &self.gate {
            Gate::Gelu(gelu) => {
                let size = h.size();
                let width = size.last().copied().unwrap_or_default();
                let tokens = h.f_reshape([h.numel() as i64 / width.max(1), width])?;
                let layers = [self.input.for_perceptron(), self.output.for_perceptron()];
                let out = perceptron::run(&tokens, &layers, Between::Gelu(*gelu))?;
                Ok(out.f_view(size.as_slice())?)
            }
            Gate::Swiglu(gate) => {
                let inner = gate.forward(h)?.f_silu()?.f_mul(&self.input.forward(h)?)?;
                self.output.forward(&inner)
            }
        }
    }
}
