//! Residual networks on vectors.

use crate::network::join;
use crate::{Activation, Dropout, Init, Linear, Network, Scope};
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of a [`ResidualNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResidualConfig {
    /// Width of all hidden layers.
    pub hidden: i64,
    /// Number of residual blocks.
    pub blocks: usize,
    /// Nonlinearity.
    pub activation: Activation,
    /// Dropout rate inside each block.
    pub dropout: f64,
}

impl Default for ResidualConfig {
    fn default() -> Self {
        Self { hidden: 128, blocks: 2, activation: Activation::Relu, dropout: 0.0 }
    }
}

/// `x + W₂ a(W₁ a(x))`, gated by the context where there is one.
#[derive(Debug)]
struct Block {
    first: Linear,
    second: Linear,
    gate: Option<Linear>,
}

/// A linear layer, residual blocks with pre-activation, and a linear layer: the conditioner of
/// Durkan et al. 2019 (arXiv:1906.04032, appendix B). The context is appended to the input and also
/// gates each block through a sigmoid.
#[derive(Debug)]
pub struct ResidualNet {
    input: Linear,
    blocks: Vec<Block>,
    output: Linear,
    activation: Activation,
    dropout: Dropout,
}

impl ResidualNet {
    /// A network from `inputs` and `context` to `outputs` numbers. Blocks start near the identity.
    ///
    /// # Errors
    /// Those of [`Linear::new`] and [`Dropout::new`].
    pub fn new(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &ResidualConfig,
    ) -> Result<Self> {
        Self::build(scope, inputs, context, outputs, config, None)
    }

    /// As [`ResidualNet::new`], but weights and bias of the last layer start as `output`.
    ///
    /// # Errors
    /// As [`ResidualNet::new`].
    pub fn with_output(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &ResidualConfig,
        output: Init,
    ) -> Result<Self> {
        Self::build(scope, inputs, context, outputs, config, Some(output))
    }

    fn build(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &ResidualConfig,
        output: Option<Init>,
    ) -> Result<Self> {
        let hidden = config.hidden;
        let small = Init::Uniform(1e-3);
        let block = |i: usize| -> Result<Block> {
            let scope = scope.sub("block").sub(i);
            let gate = (context > 0)
                .then(|| Linear::new(&scope.sub("gate"), context, hidden))
                .transpose()?;
            Ok(Block {
                first: Linear::new(&scope.sub("first"), hidden, hidden)?,
                second: Linear::with_init(&scope.sub("second"), hidden, hidden, small, small)?,
                gate,
            })
        };
        Ok(Self {
            input: Linear::new(&scope.sub("input"), inputs + context, hidden)?,
            blocks: (0..config.blocks).map(block).collect::<Result<_>>()?,
            output: match output {
                Some(init) => Linear::with_init(&scope.sub("output"), hidden, outputs, init, init)?,
                None => Linear::new(&scope.sub("output"), hidden, outputs)?,
            },
            activation: config.activation,
            dropout: Dropout::new(scope, config.dropout)?,
        })
    }
}

impl Network for ResidualNet {
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut x = self.input.forward(&join(x, context)?)?;
        for block in &self.blocks {
            let inner = block.first.forward(&self.activation.apply(&x)?)?;
            let inner = self.dropout.forward(&self.activation.apply(&inner)?)?;
            let mut inner = block.second.forward(&inner)?;
            if let (Some(gate), Some(context)) = (&block.gate, context) {
                inner = inner.f_mul(&gate.forward(context)?.f_sigmoid()?)?;
            }
            x = x.f_add(&inner)?;
        }
        self.output.forward(&x)
    }
}
