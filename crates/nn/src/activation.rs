//! Activation functions.

use maxlik_tensor::Result;
use maxlik_tensor::gelu::Gelu;
use maxlik_tensor::perceptron::Between;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// An elementwise nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x` for `x > 0`, else `eˣ − 1`.
    Elu,
    /// The same scaled so that wide layers keep mean 0 and variance 1 (Klambauer, Unterthiner, Mayr
    /// and Hochreiter 2017, "Self-normalizing neural networks", arXiv:1706.02515, eq. 2).
    Selu,
    /// `x Φ(x)`.
    Gelu,
    /// `x / (1 + e⁻ˣ)`.
    Silu,
    /// `tanh x`.
    Tanh,
    /// `ln(1 + eˣ)`.
    Softplus,
    /// `max(x, 0.01 x)`.
    LeakyRelu,
}

impl Activation {
    /// Its form in the op that runs several layers as one, where there is one.
    pub(crate) fn for_perceptron(self) -> Option<Between> {
        match self {
            Self::Relu => Some(Between::Rectifier),
            Self::Gelu => Some(Between::Gelu(Gelu::Exact)),
            _ => None,
        }
    }

    /// Applies it.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Relu => x.f_relu()?,
            Self::Elu => x.f_elu()?,
            Self::Selu => x.f_selu()?,
            Self::Gelu => Gelu::Exact.apply(x)?,
            Self::Silu => x.f_silu()?,
            Self::Tanh => x.f_tanh()?,
            Self::Softplus => x.f_softplus()?,
            Self::LeakyRelu => x.f_leaky_relu()?,
        })
    }
}
