//! Whole flows as data, and the stacks that are known by a name.

use super::{LayerConfig, NetworkConfig, SplineConfig};
use crate::base::BaseConfig;
use crate::elementwise::Ends;
use crate::univariate::Scale;
use crate::{Compose, Flow, Mask, Order, Solve, UnivariateConfig};
use maxlik_model::Bijection;
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// A flow: layers in the order in which data pass them, and a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// The layers.
    pub layers: Vec<LayerConfig>,
    /// The base.
    #[serde(default)]
    pub base: BaseConfig,
}

impl FlowConfig {
    /// RealNVP (Dinh et al. 2017): affine couplings over alternating coordinates, each after
    /// activation normalisation.
    #[must_use]
    pub fn realnvp(layers: usize, network: &NetworkConfig) -> Self {
        let layers = (0..layers).flat_map(|i| {
            let (mask, network, scale) = (Mask::alternating(i), network.clone(), Scale::default());
            [LayerConfig::Actnorm {}, LayerConfig::AffineCoupling { mask, network, scale }]
        });
        Self { layers: layers.collect(), base: BaseConfig::Normal {} }
    }

    /// The masked autoregressive flow (Papamakarios et al. 2017): affine autoregressive layers of
    /// alternating order, each after activation normalisation.
    #[must_use]
    pub fn maf(layers: usize, network: &NetworkConfig) -> Self {
        Self::autoregressive(layers, network, UnivariateConfig::Affine { scale: Scale::default() })
    }

    /// The autoregressive neural spline flow (Durkan et al. 2019).
    #[must_use]
    pub fn spline_autoregressive(
        layers: usize,
        network: &NetworkConfig,
        spline: SplineConfig,
    ) -> Self {
        let SplineConfig { bins, low, high, bounded } = spline;
        let ends = if bounded { Ends::Bounded } else { Ends::Linear };
        let map = UnivariateConfig::RationalQuadratic { bins, low, high, ends };
        Self::autoregressive(layers, network, map)
    }

    /// Autoregressive layers of alternating order with any elementwise map, each after activation
    /// normalisation.
    #[must_use]
    pub fn autoregressive(layers: usize, network: &NetworkConfig, map: UnivariateConfig) -> Self {
        let layers = (0..layers).flat_map(|i| {
            let layer = LayerConfig::Autoregressive {
                order: Order::alternating(i),
                network: network.clone(),
                map,
                solve: Solve::default(),
            };
            [LayerConfig::Actnorm {}, layer]
        });
        Self { layers: layers.collect(), base: BaseConfig::Normal {} }
    }

    /// The neural spline flow with coupling layers (Durkan et al. 2019): before each spline coupling
    /// an LU-linear layer; activation normalisation first.
    #[must_use]
    pub fn spline_coupling(layers: usize, network: &NetworkConfig, spline: SplineConfig) -> Self {
        let stack = (0..layers).flat_map(|i| {
            let (mask, network) = (Mask::alternating(i), network.clone());
            [LayerConfig::LuLinear {}, LayerConfig::SplineCoupling { mask, network, spline }]
        });
        let layers =
            std::iter::once(LayerConfig::Actnorm {}).chain(stack).chain([LayerConfig::LuLinear {}]);
        Self { layers: layers.collect(), base: BaseConfig::Normal {} }
    }

    /// Builds the flow on `[dims]`, after `before` (preprocessing on the data side).
    ///
    /// # Errors
    /// [`Error::Config`] naming the layer and what is wrong with it.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
        before: Vec<Box<dyn Bijection>>,
    ) -> Result<Flow> {
        let mut layers = before;
        for (i, layer) in self.layers.iter().enumerate() {
            let built =
                layer.build(&scope.sub("layers").sub(i), dims, context).map_err(|e| match e {
                    Error::Config { field, why } => {
                        Error::config(format!("layers.{i}.{field}"), why)
                    }
                    other => other,
                })?;
            layers.push(built);
        }
        Flow::new(
            Box::new(Compose::new(layers)?),
            self.base.build(&scope.sub("base"), dims, context)?,
        )
    }
}
