//! Elementwise maps as data.

use super::{
    Cdf, CubicSpline, Distribution, Exp, Gaussianize, Interval, LeakyRelu, LinearSpline,
    QuadraticSpline, SignedPower, SinhArcsinh, SmoothLeakyRelu, Softplus, Tanh,
};
use crate::univariate::{
    Additive, Affine, Bernstein, DeepSigmoidal, LogisticMixture, Monotonic, Scale, Spline,
    SumOfSquares, Univariate,
};
use maxlik_tensor::Result;
use maxlik_tensor::spline::{Knots, RationalQuadratic, Tails};
use serde::{Deserialize, Serialize};

/// What a rational-quadratic spline does at the ends of its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    /// Slope one at both ends and the identity beyond.
    #[default]
    Linear,
    /// Free slopes at both ends; the interval is the whole domain.
    Bounded,
    /// Equal slopes at both ends, for periodic data.
    Circular,
}

/// An elementwise map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum UnivariateConfig {
    /// Shift and scale.
    Affine {
        /// How the scale is made positive.
        #[serde(default)]
        scale: Scale,
    },
    /// A shift.
    Additive {},
    /// The log-odds of a mixture of logistics, shifted and scaled (Flow++).
    LogisticMixture {
        /// Number of logistics.
        components: usize,
    },
    /// A deep sigmoidal map (neural autoregressive flow).
    DeepSigmoidal {
        /// Units of a layer.
        units: usize,
        /// Number of layers.
        layers: usize,
    },
    /// A Bernstein polynomial.
    Bernstein {
        /// Its degree.
        degree: usize,
        /// Half the length of its interval, around zero.
        bound: f64,
    },
    /// A sum-of-squares polynomial.
    SumOfSquares {
        /// Number of squares.
        squares: usize,
        /// Degree of the polynomials that are squared.
        degree: usize,
    },
    /// The integral of a positive network.
    Monotonic {
        /// Hidden units.
        units: usize,
        /// Nodes of the quadrature.
        nodes: usize,
    },
    /// The exponential.
    Exp {},
    /// The softplus.
    Softplus {},
    /// The hyperbolic tangent.
    Tanh {},
    /// The leaky rectifier.
    LeakyRelu {
        /// Slope for negative numbers.
        slope: f64,
    },
    /// The smooth leaky rectifier.
    SmoothLeakyRelu {
        /// Slope far on the left.
        slope: f64,
    },
    /// The sinh-arcsinh map.
    SinhArcsinh {},
    /// The signed power.
    SignedPower {},
    /// Mixture of logistics to standard normal.
    Gaussianize {
        /// Number of logistics.
        components: usize,
    },
    /// A distribution function.
    Cdf {
        /// The distribution.
        #[serde(default)]
        distribution: Distribution,
    },
    /// A piecewise linear spline.
    LinearSpline {
        /// Number of bins.
        bins: usize,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
    },
    /// A piecewise quadratic spline.
    QuadraticSpline {
        /// Number of bins.
        bins: usize,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
        /// Whether the interval is the whole domain, with free slopes at its ends.
        #[serde(default)]
        bounded: bool,
    },
    /// A piecewise cubic spline.
    CubicSpline {
        /// Number of bins.
        bins: usize,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
    },
    /// A rational-quadratic spline.
    RationalQuadratic {
        /// Number of bins.
        bins: usize,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
        /// What happens at the ends.
        #[serde(default)]
        ends: Ends,
    },
}

impl UnivariateConfig {
    /// The map, checked.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for numbers that do not fit.
    pub fn build(&self) -> Result<Box<dyn Univariate>> {
        Ok(match *self {
            Self::Affine { scale } => Box::new(Affine { scale }),
            Self::Additive {} => Box::new(Additive),
            Self::LogisticMixture { components } => Box::new(LogisticMixture::new(components)?),
            Self::DeepSigmoidal { units, layers } => Box::new(DeepSigmoidal::new(units, layers)?),
            Self::Bernstein { degree, bound } => Box::new(Bernstein::new(degree, bound)?),
            Self::SumOfSquares { squares, degree } => Box::new(SumOfSquares::new(squares, degree)?),
            Self::Monotonic { units, nodes } => Box::new(Monotonic::new(units, nodes)?),
            Self::Exp {} => Box::new(Exp),
            Self::Softplus {} => Box::new(Softplus),
            Self::Tanh {} => Box::new(Tanh),
            Self::LeakyRelu { slope } => Box::new(LeakyRelu::new(slope)?),
            Self::SmoothLeakyRelu { slope } => Box::new(SmoothLeakyRelu::new(slope)?),
            Self::SinhArcsinh {} => Box::new(SinhArcsinh),
            Self::SignedPower {} => Box::new(SignedPower),
            Self::Gaussianize { components } => Box::new(Gaussianize::new(components)?),
            Self::Cdf { distribution } => Box::new(Cdf { distribution }),
            Self::LinearSpline { bins, low, high } => {
                Box::new(LinearSpline::new(bins, Interval { low, high })?)
            }
            Self::QuadraticSpline { bins, low, high, bounded } => {
                Box::new(QuadraticSpline::new(bins, Interval { low, high }, bounded)?)
            }
            Self::CubicSpline { bins, low, high } => {
                Box::new(CubicSpline::new(bins, Interval { low, high })?)
            }
            Self::RationalQuadratic { bins, low, high, ends } => {
                let tails = match ends {
                    Ends::Linear => Tails::Linear,
                    Ends::Bounded => Tails::Bounded,
                    Ends::Circular => Tails::Circular,
                };
                let floor = 1e-3;
                let knots =
                    Knots::Softmax { min_width: floor, min_height: floor, min_derivative: floor };
                let shape = RationalQuadratic { bins, interval: (low, high), tails, knots };
                shape.check()?;
                Box::new(Spline { shape })
            }
        })
    }
}
