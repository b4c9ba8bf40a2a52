//! Affine layers.

use crate::{Init, Scope};
use maxlik_tensor::{Result, perceptron};
use tch::Tensor;

/// `x Wᵀ + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// A layer from `inputs` to `outputs` numbers; weights and biases start uniform on
    /// `±1/√inputs`, as PyTorch's do.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Result<Self> {
        let bound = 1.0 / (inputs.max(1) as f64).sqrt();
        Self::with_init(scope, inputs, outputs, Init::Uniform(bound), Init::Uniform(bound))
    }

    /// A layer with its own initial values.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn with_init(
        scope: &Scope<'_>,
        inputs: i64,
        outputs: i64,
        weight: Init,
        bias: Init,
    ) -> Result<Self> {
        Ok(Self {
            weight: scope.param("weight", &[outputs, inputs], weight)?,
            bias: scope.param("bias", &[outputs], bias)?,
        })
    }

    /// The same layer once more: its tensors are this one's.
    pub(crate) fn share(&self) -> Self {
        Self { weight: self.weight.shallow_clone(), bias: self.bias.shallow_clone() }
    }

    /// `[…, inputs] → […, outputs]`.
    ///
    /// # Errors
    /// LibTorch's, for another number of inputs.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight, Some(&self.bias))?)
    }

    /// The layer for the op that runs several as one.
    pub(crate) fn for_perceptron(&self) -> perceptron::Layer<'_> {
        perceptron::Layer { weight: &self.weight, bias: &self.bias, mask: None }
    }

    /// The weight `[outputs, inputs]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }
}
