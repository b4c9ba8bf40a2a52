//! Radial maps.

use super::{log1p_above, sum_last};
use crate::{NetworkConfig, Parameters};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Scope;
use maxlik_tensor::{Result, safe};
use tch::{Device, Kind, Tensor};

/// `z = x + β (x − c)/(α + r)` with `r = ‖x − c‖`, contracting to or expanding from a centre (Rezende
/// and Mohamed 2015, arXiv:1505.05770, eq. 14).
///
/// `ln |det| = (D − 1) ln(1 + β/(α + r)) + ln(1 + αβ/(α + r)²)`. The parameters are the centre and two
/// raw numbers, trained or computed from the context: `α = softplus > 0` and `β = softplus − α > −α`
/// (appendix A.2). The inverse is the positive root of a quadratic polynomial in `r`. Cost `O(D)`.
/// Starts at the identity, at zero.
#[derive(Debug)]
pub struct Radial {
    shape: [i64; 1],
    parameters: Parameters,
}

/// Least `α`.
const LEAST: f64 = 1e-3;

/// A row's numbers: `[B, D]`, and `[B, 1]` for the rest.
struct Circle {
    centre: Tensor,
    alpha: Tensor,
    /// `α + β > 0`.
    sum: Tensor,
}

impl Radial {
    /// The identity on `[D]`.
    ///
    /// # Errors
    /// Those of [`Parameters::new`].
    pub fn new(
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        let start = Tensor::f_zeros([dims + 2], (Kind::Double, Device::Cpu))?;
        Ok(Self { shape: [dims], parameters: Parameters::new(scope, &start, context, network)? })
    }

    fn circle(&self, rows: i64, context: Option<&Tensor>) -> Result<Circle> {
        let dims = self.shape[0];
        let raw = self.parameters.get(rows, context)?;
        let positive = |i: i64| -> Result<Tensor> {
            Ok(safe::softplus(&raw.f_narrow(1, dims + i, 1)?)? + LEAST)
        };
        Ok(Circle { centre: raw.f_narrow(1, 0, dims)?, alpha: positive(0)?, sum: positive(1)? })
    }

    /// `β/(α + r)` and the log-determinant at the radius `r` `[B, 1]`.
    fn stretch(&self, circle: &Circle, radius: &Tensor) -> Result<Mapped> {
        let beta = &circle.sum - &circle.alpha;
        let reach = &circle.alpha + radius;
        let value = &beta / &reach;
        let tangential = log1p_above(&value)? * (self.shape[0] - 1) as f64;
        let along = log1p_above(&(&value * &circle.alpha / reach))?;
        Ok(Mapped { value, log_det: (tangential + along).f_squeeze_dim(-1)? })
    }

    fn length(x: &Tensor) -> Result<Tensor> {
        let tiny = if x.kind() == Kind::Double { 1e-200 } else { 1e-30 };
        Ok((sum_last(&x.f_square()?, true)? + tiny).f_sqrt()?)
    }
}

impl Bijection for Radial {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.parameters.context_shape()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let circle = self.circle(x.size()[0], context)?;
        let offset = x - &circle.centre;
        let Mapped { value, log_det } = self.stretch(&circle, &Self::length(&offset)?)?;
        Ok(Mapped { value: x + offset * value, log_det })
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let circle = self.circle(z.size()[0], context)?;
        let offset = z - &circle.centre;
        let length = Self::length(&offset)?;
        // r² + (α + β − ρ) r − αρ = 0 for the radius ρ of z; each form where it does not cancel.
        let b = &circle.sum - &length;
        let product = &circle.alpha * &length;
        let root = (b.f_square()? + &product * 4.0).f_sqrt()?;
        let positive = b.f_gt(0.0)?;
        let small = product * 2.0 / (b.f_clamp_min(0.0)? + &root);
        let large = (root - &b) * 0.5;
        let radius = small.f_where_self(&positive, &large)?;
        let Mapped { value, log_det } = self.stretch(&circle, &radius)?;
        Ok(Mapped { value: offset / (value + 1.0) + circle.centre, log_det: -log_det })
    }
}
