//! Flows from configuration: every layer and base as data.

use crate::base::BaseConfig;
use crate::elementwise::Ends;
use crate::image::{Centre, GlowConfig, Patchify};
use crate::linear::{OrthogonalBy, PointwiseBy};
use crate::residual::{ContractionConfig, ResidualLogDet};
use crate::univariate::{Affine, Scale, Spline};
use crate::{
    ActNorm, Autoregressive, BlockAutoregressive, Compose, Coupling, Elementwise, Flow, Inverse,
    Logit, LuLinear, Mask, Order, Permutation, Reshape, Solve, TarStack, TarflowConfig,
    UnivariateConfig, linear, residual,
};
use maxlik_model::Bijection;
use maxlik_nn::{
    MaskedMlp, MaskedNetwork, MaskedResidualNet, MaskedShape, Mlp, MlpConfig, Network,
    ResidualConfig, ResidualNet, Scope,
};
use maxlik_tensor::spline::{Knots, RationalQuadratic, Tails};
use maxlik_tensor::{Error, Result};
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
    /// [`Error::Config`] for numbers that do not make a spline.
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

/// One layer of a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerConfig {
    /// Activation normalisation.
    Actnorm {},
    /// An invertible matrix by its LU factors.
    LuLinear {},
    /// A random permutation.
    Permute {},
    /// The reversal of the coordinates.
    Reverse {},
    /// The logit of data in the unit interval.
    Logit {
        /// Margin at both ends.
        margin: f64,
    },
    /// The sigmoid: back to the unit interval.
    Sigmoid {
        /// Margin at both ends.
        margin: f64,
    },
    /// Affine coupling (RealNVP).
    AffineCoupling {
        /// Coordinates that change.
        mask: Mask,
        /// The conditioner.
        #[serde(default)]
        network: NetworkConfig,
        /// How the scale is made positive.
        #[serde(default)]
        scale: Scale,
    },
    /// Rational-quadratic spline coupling (NSF).
    SplineCoupling {
        /// Coordinates that change.
        mask: Mask,
        /// The conditioner.
        #[serde(default)]
        network: NetworkConfig,
        /// The spline.
        #[serde(default)]
        spline: SplineConfig,
    },
    /// An autoregressive layer (MAF with an affine map, NSF-AR with a spline).
    Autoregressive {
        /// Which coordinates a coordinate depends on.
        #[serde(default)]
        order: Order,
        /// The conditioner, which is masked.
        #[serde(default)]
        network: NetworkConfig,
        /// The elementwise map.
        map: UnivariateConfig,
        /// How the inverse is found.
        #[serde(default)]
        solve: Solve,
    },
    /// A block neural autoregressive flow (BNAF).
    BlockAutoregressive {
        /// Which coordinates a coordinate depends on.
        #[serde(default)]
        order: Order,
        /// Hidden units for each coordinate.
        hidden: i64,
        /// Number of hidden layers.
        layers: usize,
    },
    /// Coupling by any elementwise map.
    Coupling {
        /// Coordinates that change.
        mask: Mask,
        /// The map.
        map: UnivariateConfig,
        /// The conditioner.
        #[serde(default)]
        network: NetworkConfig,
    },
    /// An elementwise map with parameters for each coordinate.
    Elementwise {
        /// The map.
        map: UnivariateConfig,
        /// Computes the parameters from the context; without it they are trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkConfig>,
    },
    /// A dense matrix.
    Dense {},
    /// A matrix by its QR factors.
    QrLinear {
        /// Number of Householder reflections.
        reflections: i64,
    },
    /// A matrix by its singular value decomposition.
    SvdLinear {
        /// Number of Householder reflections on each side.
        reflections: i64,
    },
    /// A product of Householder reflections.
    Householder {
        /// Number of reflections.
        reflections: i64,
    },
    /// A rotation by a skew-symmetric matrix.
    Orthogonal {
        /// How the rotation comes from that matrix.
        #[serde(default)]
        by: OrthogonalBy,
    },
    /// A diagonal matrix with a low-rank update.
    LowRankLinear {
        /// Rank of the update.
        rank: i64,
    },
    /// The exponential of a matrix.
    MatrixExponential {},
    /// A 1×1 convolution on events that are images of this shape, flattened.
    PointwiseConvolution {
        /// Channels, height and width.
        shape: [i64; 3],
        /// How its matrix is written.
        #[serde(default)]
        by: PointwiseBy,
    },
    /// An emerging convolution on events that are images of this shape, flattened.
    EmergingConvolution {
        /// Channels, height and width.
        shape: [i64; 3],
        /// Height and width of the kernels, both odd.
        kernel: [i64; 2],
    },
    /// A periodic convolution on events that are images of this shape, flattened.
    CircularConvolution {
        /// Channels, height and width.
        shape: [i64; 3],
        /// Height and width of the kernel, both odd.
        kernel: [i64; 2],
    },
    /// A planar map.
    Planar {
        /// Computes the parameters from the context; without it they are trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkConfig>,
    },
    /// A radial map.
    Radial {
        /// Computes the parameters from the context; without it they are trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<NetworkConfig>,
    },
    /// A Sylvester map.
    Sylvester {
        /// Number of directions.
        rank: i64,
    },
    /// An invertible residual block.
    Residual {
        /// The contraction.
        #[serde(default)]
        contraction: ContractionConfig,
        /// How its log-determinant is computed.
        #[serde(default)]
        log_det: ResidualLogDet,
    },
    /// Batch normalisation.
    BatchNorm {},
    /// A layer in the other direction.
    Inverse {
        /// The layer.
        layer: Box<LayerConfig>,
    },
    /// From the unit interval to `[−1, 1]`.
    Centre {},
    /// Glow on images, whose numbers come as one row.
    Glow {
        /// Channels, height and width.
        image: [i64; 3],
        /// The flow.
        #[serde(default)]
        glow: GlowConfig,
    },
    /// A transformer flow on patches of images, whose numbers come as one row.
    Tarflow {
        /// Channels, height and width.
        image: [i64; 3],
        /// Side of a patch.
        patch: i64,
        /// The flow.
        #[serde(default)]
        tarflow: TarflowConfig,
    },
}

impl LayerConfig {
    /// Builds the layer on `[dims]` with a context of this size.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
    ) -> Result<Box<dyn Bijection>> {
        Ok(match self {
            Self::Actnorm {} => Box::new(ActNorm::new(scope, &[dims])?),
            Self::LuLinear {} => Box::new(LuLinear::new(scope, dims)?),
            Self::Permute {} => Box::new(Permutation::random(scope, dims)?),
            Self::Reverse {} => Box::new(Permutation::reverse(scope, dims)?),
            Self::Logit { margin } => Box::new(Logit::new(&[dims], *margin)?),
            Self::Sigmoid { margin } => Box::new(Inverse(Logit::new(&[dims], *margin)?)),
            Self::AffineCoupling { mask, network, scale } => {
                let univariate = Affine { scale: *scale };
                Box::new(Coupling::new(dims, mask, univariate, context, scope.device(), |shape| {
                    network.build(&scope.sub("net"), shape.inputs, shape.context, shape.outputs)
                })?)
            }
            Self::BlockAutoregressive { order, hidden, layers } => {
                Box::new(BlockAutoregressive::new(scope, dims, order, context, *hidden, *layers)?)
            }
            Self::Autoregressive { order, network, map, solve } => Box::new(Autoregressive::new(
                dims,
                order,
                map.build()?,
                context,
                *solve,
                |shape| network.build_masked(&scope.sub("net"), shape),
            )?),
            Self::SplineCoupling { mask, network, spline } => {
                let univariate = spline.spline()?;
                Box::new(Coupling::new(dims, mask, univariate, context, scope.device(), |shape| {
                    network.build(&scope.sub("net"), shape.inputs, shape.context, shape.outputs)
                })?)
            }
            Self::Coupling { mask, map, network } => {
                let univariate = map.build()?;
                Box::new(Coupling::new(dims, mask, univariate, context, scope.device(), |shape| {
                    network.build(&scope.sub("net"), shape.inputs, shape.context, shape.outputs)
                })?)
            }
            Self::Elementwise { map, network } => {
                let univariate = map.build()?;
                Box::new(Elementwise::new(scope, &[dims], univariate, context, network.as_ref())?)
            }
            Self::Dense {} => Box::new(linear::DenseLinear::new(scope, dims)?),
            Self::QrLinear { reflections } => {
                Box::new(linear::QrLinear::new(scope, dims, *reflections)?)
            }
            Self::SvdLinear { reflections } => {
                Box::new(linear::SvdLinear::new(scope, dims, *reflections)?)
            }
            Self::Householder { reflections } => {
                Box::new(linear::Householder::new(scope, dims, *reflections)?)
            }
            Self::Orthogonal { by } => Box::new(linear::Orthogonal::new(scope, dims, *by)?),
            Self::LowRankLinear { rank } => {
                Box::new(linear::LowRankLinear::new(scope, dims, *rank)?)
            }
            Self::MatrixExponential {} => Box::new(linear::ExponentialLinear::new(scope, dims)?),
            Self::PointwiseConvolution { shape, by } => {
                flat(dims, Box::new(linear::Pointwise::convolution(scope, shape, *by)?))?
            }
            Self::EmergingConvolution { shape, kernel } => {
                flat(dims, Box::new(linear::EmergingConvolution::new(scope, *shape, *kernel)?))?
            }
            Self::CircularConvolution { shape, kernel } => {
                flat(dims, Box::new(linear::CircularConvolution::new(scope, *shape, *kernel)?))?
            }
            Self::Planar { network } => {
                Box::new(residual::Planar::new(scope, dims, context, network.as_ref())?)
            }
            Self::Radial { network } => {
                Box::new(residual::Radial::new(scope, dims, context, network.as_ref())?)
            }
            Self::Sylvester { rank } => Box::new(residual::Sylvester::new(scope, dims, *rank)?),
            Self::Residual { contraction, log_det } => {
                Box::new(residual::Residual::new(scope, dims, context, contraction, *log_det)?)
            }
            Self::BatchNorm {} => Box::new(residual::BatchNorm::new(scope, &[dims])?),
            Self::Inverse { layer } => {
                Box::new(Inverse(Compose::new(vec![layer.build(scope, dims, context)?])?))
            }
            Self::Centre {} => Box::new(Centre::new(&[dims])),
            Self::Glow { image, glow } => Box::new(Compose::new(vec![
                Box::new(Reshape::new(&[dims], image)?),
                Box::new(glow.build(scope, *image, context)?),
            ])?),
            Self::Tarflow { image, patch, tarflow } => {
                let patches = Patchify::new(*image, *patch)?;
                let tokens = patches.tokens();
                Box::new(Compose::new(vec![
                    Box::new(Reshape::new(&[dims], image)?),
                    Box::new(patches),
                    Box::new(TarStack::new(scope, tokens, context, tarflow)?),
                    Box::new(Reshape::new(&tokens, &[dims])?),
                ])?)
            }
        })
    }
}

/// A layer on events of any shape as one on `[dims]`.
fn flat(dims: i64, layer: Box<dyn Bijection>) -> Result<Box<dyn Bijection>> {
    let before = Reshape::new(&[dims], layer.domain())?;
    let after = Reshape::new(layer.codomain(), &[dims])?;
    Ok(Box::new(Compose::new(vec![Box::new(before), layer, Box::new(after)])?))
}

impl NetworkConfig {
    /// Builds the network.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        inputs: i64,
        context: i64,
        outputs: i64,
    ) -> Result<Box<dyn Network>> {
        Ok(match self {
            Self::Mlp(config) => Box::new(Mlp::new(scope, inputs, context, outputs, config)?),
            Self::Residual(config) => {
                Box::new(ResidualNet::new(scope, inputs, context, outputs, config)?)
            }
        })
    }

    /// Builds its masked form, for autoregressive layers.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit.
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
