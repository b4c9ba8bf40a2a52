//! Multi-layer perceptrons.

use crate::network::join;
use crate::{Activation, Dropout, Init, Linear, Network, Scope};
use maxlik_tensor::{Result, perceptron};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of an [`Mlp`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<i64>,
    /// Nonlinearity between layers.
    pub activation: Activation,
    /// Dropout rate after each hidden layer.
    pub dropout: f64,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self { hidden: vec![128, 128], activation: Activation::Relu, dropout: 0.0 }
    }
}

/// Linear layers with a nonlinearity between them; the context is appended to the input.
#[derive(Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    activation: Activation,
    dropout: Dropout,
}

impl Mlp {
    /// A network from `inputs` and `context` to `outputs` numbers, whose last layer starts with
    /// PyTorch's values.
    ///
    /// # Errors
    /// Those of [`Linear::new`] and [`Dropout::new`].
    pub fn new(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &MlpConfig,
    ) -> Result<Self> {
        Self::build(scope, inputs, context, outputs, config, None)
    }

    /// As [`Mlp::new`], but weights and bias of the last layer start as `output`: with small numbers, a
    /// coupling layer built on it starts near the identity, and deep stacks of them start tame.
    ///
    /// # Errors
    /// As [`Mlp::new`].
    pub fn with_output(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &MlpConfig,
        output: Init,
    ) -> Result<Self> {
        Self::build(scope, inputs, context, outputs, config, Some(output))
    }

    fn build(
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
        config: &MlpConfig,
        last: Option<Init>,
    ) -> Result<Self> {
        let mut width = inputs + context;
        let mut layers = Vec::with_capacity(config.hidden.len() + 1);
        for (i, &hidden) in config.hidden.iter().enumerate() {
            layers.push(Linear::new(&scope.sub(i), width, hidden)?);
            width = hidden;
        }
        let scope_last = scope.sub(config.hidden.len());
        layers.push(match last {
            Some(init) => Linear::with_init(&scope_last, width, outputs, init, init)?,
            None => Linear::new(&scope_last, width, outputs)?,
        });
        Ok(Self {
            layers,
            activation: config.activation,
            dropout: Dropout::new(scope, config.dropout)?,
        })
    }
}

impl Network for Mlp {
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut x = join(x, context)?;
        if let Some(between) = self.activation.for_perceptron()
            && !self.dropout.is_active()
            && x.dim() == 2
        {
            let layers: Vec<perceptron::Layer<'_>> =
                self.layers.iter().map(Linear::for_perceptron).collect();
            return perceptron::run(&x, &layers, between);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.dropout.forward(&self.activation.apply(&x)?)?;
            }
            x = layer.forward(&x)?;
        }
        Ok(x)
    }
}
