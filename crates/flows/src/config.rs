//! Flows from configuration: every layer and base as data.

mod flow;
mod network;

pub use flow::FlowConfig;
pub use network::{NetworkConfig, SplineConfig};

use crate::image::{Centre, GlowConfig, Patchify};
use crate::linear::{OrthogonalBy, PointwiseBy};
use crate::residual::{ContractionConfig, ResidualLogDet};
use crate::univariate::{Affine, Scale};
use crate::{
    ActNorm, Autoregressive, BlockAutoregressive, Compose, Coupling, Elementwise, Inverse, Logit,
    LuLinear, Mask, Order, Permutation, Reshape, Solve, TarStack, TarflowConfig, UnivariateConfig,
    linear, residual,
};
use maxlik_model::Bijection;
use maxlik_nn::Scope;
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};

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
    /// [`maxlik_tensor::Error::Config`] for numbers that do not fit.
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
                Box::new(Coupling::new(dims, mask, univariate, context, |shape| {
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
                Box::new(Coupling::new(dims, mask, univariate, context, |shape| {
                    network.build(&scope.sub("net"), shape.inputs, shape.context, shape.outputs)
                })?)
            }
            Self::Coupling { mask, map, network } => {
                let univariate = map.build()?;
                Box::new(Coupling::new(dims, mask, univariate, context, |shape| {
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
