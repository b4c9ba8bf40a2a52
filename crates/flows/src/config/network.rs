//! Networks and splines of coupling and autoregressive layers, as data.

use crate::univariate::Spline;
use maxlik_nn::{
    Init, MaskedMlp, MaskedNetwork, MaskedResidualNet, MaskedShape, Mlp, MlpConfig, Network,
    ResidualConfig, ResidualNet, Scope,
};
use maxlik_tensor::Result;
use maxlik_tensor::spline::{Knots, RationalQuadratic, Tails};
use serde::{Deserialize, Serialize};

/// The network of a coupling layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NetworkConfig {
    /// A multi-layer perceptron.
    Mlp(MlpConfig),
    /// A residual network.
    Residual(ResidualConfig),
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::Mlp(MlpConfig::default())
    }
}

/// A rational-quadratic spline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplineConfig {
    /// Number of bins.
    pub bins: usize,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Whether the interval is the whole domain, with free slopes at its ends; otherwise the spline
    /// goes on as the identity.
    pub bounded: bool,
}

impl Default for SplineConfig {
    fn default() -> Self {
        Self { bins: 8, low: -5.0, high: 5.0, bounded: false }
    }
}

impl SplineConfig {
    /// The spline, checked.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for numbers that do not make a spline.
    pub fn spline(&self) -> Result<Spline> {
        let shape = RationalQuadratic {
            bins: self.bins,
            interval: (self.low, self.high),
            tails: if self.bounded { Tails::Bounded } else { Tails::Linear },
            knots: Knots::Softmax { min_width: 1e-3, min_height: 1e-3, min_derivative: 1e-3 },
        };
        shape.check()?;
        Ok(Spline { shape })
    }
}

/// Not quite zero, so that the components of mixtures part.
const SMALL: Init = Init::Uniform(1e-3);

impl NetworkConfig {
    /// Builds the network of a coupling layer. Its outputs start near zero, so that the layer starts
    /// near the identity: stacks of 64 layers with PyTorch's start overflow in their first step.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for numbers that do not fit.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
    ) -> Result<Box<dyn Network>> {
        Ok(match self {
            Self::Mlp(config) => {
                Box::new(Mlp::with_output(scope, inputs, context, outputs, config, SMALL)?)
            }
            Self::Residual(config) => {
                Box::new(ResidualNet::with_output(scope, inputs, context, outputs, config, SMALL)?)
            }
        })
    }

    /// Builds its masked form, for autoregressive layers.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for numbers that do not fit.
    pub fn build_masked(
        &self,
        scope: &Scope<'_>,
        shape: &MaskedShape,
    ) -> Result<Box<dyn MaskedNetwork>> {
        Ok(match self {
            Self::Mlp(config) => Box::new(MaskedMlp::new(scope, shape, config)?),
            Self::Residual(config) => Box::new(MaskedResidualNet::new(scope, shape, config)?),
        })
    }
}
