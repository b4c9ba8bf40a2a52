//! Normalisation of the last dimension.

use crate::{Init, Scope};
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// Which normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// `(x − mean) / √(var + ε) · w + b` (Ba et al. 2016, arXiv:1607.06450).
    #[default]
    LayerNorm,
    /// `x / √(mean x² + ε) · w` (Zhang and Sennrich 2019, arXiv:1910.07467).
    RmsNorm,
}

/// `ε` of both.
pub(crate) const EPSILON: f64 = 1e-5;

/// A normalisation of vectors of one width, with its trained weight.
#[derive(Debug)]
pub struct Norm {
    width: i64,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Norm {
    /// Weight one; bias zero where the kind has one.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, width: i64, kind: NormKind) -> Result<Self> {
        let bias = match kind {
            NormKind::LayerNorm => Some(scope.param("bias", &[width], Init::Constant(0.0))?),
            NormKind::RmsNorm => None,
        };
        Ok(Self { width, weight: scope.param("weight", &[width], Init::Constant(1.0))?, bias })
    }

    /// The same once more: its tensors are this one's.
    pub(crate) fn share(&self) -> Self {
        Self {
            width: self.width,
            weight: self.weight.shallow_clone(),
            bias: self.bias.as_ref().map(Tensor::shallow_clone),
        }
    }

    /// Where its weight is.
    pub(crate) fn device(&self) -> Device {
        self.weight.device()
    }

    /// `[…, width] → […, width]`.
    ///
    /// # Errors
    /// LibTorch's, for another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (width, weight) = ([self.width], Some(&self.weight));
        Ok(match &self.bias {
            Some(bias) => x.f_layer_norm(width, weight, Some(bias), EPSILON, true)?,
            None => x.f_rms_norm(width, weight, EPSILON)?,
        })
    }
}
