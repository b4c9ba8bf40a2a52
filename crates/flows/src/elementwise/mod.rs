//! Elementwise maps: an unconditional or conditional layer, and the maps themselves, which coupling
//! and autoregressive layers use as well.

mod cdf;
mod config;
mod cubic_spline;
mod exp;
pub(crate) mod gaussianize;
mod leaky_relu;
mod linear_spline;
mod piecewise;
mod quadratic_spline;
pub(crate) mod root;
mod signed_power;
mod sinh_arcsinh;
mod smooth_leaky_relu;
mod softplus;
mod tanh;

pub use cdf::{Cdf, Distribution};
pub use config::{Ends, UnivariateConfig};
pub use cubic_spline::CubicSpline;
pub use exp::Exp;
pub use gaussianize::Gaussianize;
pub use leaky_relu::LeakyRelu;
pub use linear_spline::LinearSpline;
pub use piecewise::Interval;
pub use quadratic_spline::QuadraticSpline;
pub use signed_power::SignedPower;
pub use sinh_arcsinh::SinhArcsinh;
pub use smooth_leaky_relu::SmoothLeakyRelu;
pub use softplus::Softplus;
pub use tanh::Tanh;

use crate::score::{Slopes, recorded_input};
use crate::univariate::Univariate;
use crate::{NetworkConfig, Parameters};
use maxlik_model::{Bijection, Mapped, PropagateScore, Propagated};
use maxlik_nn::Scope;
use maxlik_tensor::autograd::recorded;
use maxlik_tensor::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Applies an elementwise map to each coordinate, with parameters of its own for each: trained, or
/// computed from the context by a network. The event may have any shape.
///
/// The Jacobian is diagonal: `ln |det| = Σ ln |dzᵢ/dxᵢ|`.
#[derive(Debug)]
pub struct Elementwise<U> {
    univariate: U,
    parameters: Parameters,
    shape: Vec<i64>,
    count: i64,
}

impl<U: Univariate> Elementwise<U> {
    /// The map on events of this shape, starting at [`Univariate::start`].
    ///
    /// # Errors
    /// [`Error::Config`] for a network without a context, or one for a map without parameters.
    pub fn new(
        scope: &Scope<'_>,
        shape: &[i64],
        univariate: U,
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        let each = univariate.start();
        if network.is_some() && each.is_empty() {
            return Err(Error::config("network", "this map has no parameters to compute"));
        }
        let count: i64 = shape.iter().product();
        let start = Tensor::f_from_slice(&each)?.f_reshape([1, -1])?;
        let start = match each.len() {
            0 => Tensor::f_zeros([1, 0], (Kind::Double, Device::Cpu))?,
            _ => start.f_repeat([1, count])?,
        };
        let parameters = Parameters::new(scope, &start, context, network)?;
        Ok(Self { univariate, parameters, shape: shape.to_vec(), count })
    }

    fn apply(&self, x: &Tensor, context: Option<&Tensor>, forward: bool) -> Result<Mapped> {
        let rows = x.size()[0];
        let flat = x.f_reshape([rows, self.count])?;
        let each = self.univariate.parameters();
        let params = self.parameters.get(rows, context)?.f_reshape([rows, self.count, each])?;
        let Mapped { value, log_det } = if forward {
            self.univariate.forward(&flat, &params)?
        } else {
            self.univariate.inverse(&flat, &params)?
        };
        Ok(Mapped { value: value.f_reshape(x.size().as_slice())?, log_det })
    }
}

impl<U: Univariate> Bijection for Elementwise<U> {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.parameters.context_shape()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(x, context, true)
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(z, context, false)
    }

    fn propagation(&self) -> Option<&dyn PropagateScore> {
        Some(self)
    }
}

impl<U: Univariate> Elementwise<U> {
    fn apply_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
        forward: bool,
    ) -> Result<Propagated> {
        recorded(|| {
            let x = recorded_input(x)?;
            let mapped = self.apply(&x, context, forward)?;
            let score = Slopes::of(&mapped, &x)?.carry(score)?;
            Ok(Propagated { mapped, score: score.f_detach()? })
        })
    }
}

impl<U: Univariate> PropagateScore for Elementwise<U> {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.apply_score(x, score, context, true)
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.apply_score(z, score, context, false)
    }
}

/// A value with the log-derivative of each element, summed here over the last dimension.
pub(crate) fn mapped(value: Tensor, log: &Tensor) -> Result<Mapped> {
    let log_det = log.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?;
    Ok(Mapped { value, log_det })
}

/// Parameter `i` of each element.
fn param(params: &Tensor, i: i64) -> Result<Tensor> {
    Ok(params.f_select(-1, i)?)
}
