//! Bases as data.

use super::{
    DensityMixture, DiagonalNormal, Family, FullNormal, LocationScale, NormalMixture, Product,
    Resampled, TruncatedNormal, UniformBox, VonMises,
};
use crate::{FlowConfig, NetworkConfig};
use maxlik_model::Density;
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// The density of latents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BaseConfig {
    /// The standard normal.
    Normal {},
    /// A normal with trained means and standard deviations.
    TrainedNormal {},
    /// A trained mixture of normals.
    Mixture {
        /// Number of components.
        components: i64,
    },
    /// The uniform distribution on a box.
    Uniform {
        /// Lower end in each coordinate.
        low: f64,
        /// Upper end in each coordinate.
        high: f64,
    },
    /// Independent coordinates of a location-scale family.
    LocationScale {
        /// The family.
        #[serde(default)]
        family: Family,
        /// Computes location and scale from the context; without it they are trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkConfig>,
    },
    /// A normal with a full covariance.
    FullNormal {
        /// Computes mean and factor from the context; without it they are trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkConfig>,
    },
    /// Independent angles.
    VonMises {
        /// Computes mean and concentration from the context; without it they are trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkConfig>,
    },
    /// Independent normals within a box.
    TruncatedNormal {
        /// Lower end in each coordinate.
        low: f64,
        /// Upper end in each coordinate.
        high: f64,
        /// Computes location and scale from the context; without it they are trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkConfig>,
    },
    /// A base some of whose samples are rejected.
    Resampled {
        /// The base that is sampled from.
        #[serde(default)]
        base: Box<BaseConfig>,
        /// The logit of the acceptance.
        #[serde(default)]
        network: NetworkConfig,
        /// Attempts for one sample at most.
        truncation: u32,
    },
    /// Independent parts, one after another.
    Product {
        /// The parts.
        parts: Vec<PartConfig>,
    },
    /// A mixture of flows.
    MixtureOfFlows {
        /// The components.
        flows: Vec<FlowConfig>,
    },
}

/// A part of a product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartConfig {
    /// Number of coordinates.
    pub dims: i64,
    /// Their density.
    pub base: BaseConfig,
}

impl Default for BaseConfig {
    fn default() -> Self {
        Self::Normal {}
    }
}

impl BaseConfig {
    /// Builds the base on `[dims]` with a context of this size.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
    ) -> Result<Box<dyn Density>> {
        let shape = [dims];
        Ok(match self {
            Self::Normal {} => Box::new(DiagonalNormal::standard(scope, &shape)),
            Self::TrainedNormal {} => Box::new(DiagonalNormal::trained(scope, &shape)?),
            Self::Mixture { components } => Box::new(NormalMixture::new(scope, dims, *components)?),
            Self::Uniform { low, high } => Box::new(UniformBox::new(scope, &shape, *low, *high)?),
            Self::LocationScale { family, network } => {
                Box::new(LocationScale::new(scope, &shape, *family, context, network.as_ref())?)
            }
            Self::FullNormal { network } => {
                Box::new(FullNormal::new(scope, dims, context, network.as_ref())?)
            }
            Self::VonMises { network } => {
                Box::new(VonMises::new(scope, dims, context, network.as_ref())?)
            }
            Self::TruncatedNormal { low, high, network } => {
                let ends = (*low, *high);
                Box::new(TruncatedNormal::new(scope, &shape, ends, context, network.as_ref())?)
            }
            Self::Resampled { base, network, truncation } => {
                let inner = base.build(&scope.sub("proposal"), dims, None)?;
                Box::new(Resampled::new(scope, inner, network, *truncation)?)
            }
            Self::Product { parts } => {
                let each = parts.iter().enumerate();
                let each = each.map(|(i, part)| part.base.build(&scope.sub(i), part.dims, context));
                let product = Product::new(each.collect::<Result<_>>()?)?;
                if product.event_shape() != shape {
                    let why = format!("they hold {:?} numbers, not {dims}", product.event_shape());
                    return Err(Error::config("parts", why));
                }
                Box::new(product)
            }
            Self::MixtureOfFlows { flows } => {
                let each = flows.iter().enumerate().map(|(i, flow)| -> Result<Box<dyn Density>> {
                    Ok(Box::new(flow.build(&scope.sub(i), dims, context, Vec::new())?))
                });
                Box::new(DensityMixture::new(scope, each.collect::<Result<_>>()?)?)
            }
        })
    }
}
