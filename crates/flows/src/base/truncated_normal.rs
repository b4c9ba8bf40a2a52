//! The normal distribution within a box.

use super::{HALF_LN_TAU, batched, sum_events};
use crate::{NetworkConfig, Parameters};
use maxlik_model::{Density, Sampled};
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result, safe};
use tch::{Kind, Tensor};

/// Independent normals `N(m, e^{2a})` restricted to `[low, high]`; the parameters `(m, a)` of each
/// coordinate are trained or computed from the context by a network.
///
/// `ln p(x) = ln φ(t) − a − ln(Φ(β) − Φ(α))` with `t`, `α`, `β` the standardised `x` and ends, `−∞`
/// outside. Where the interval lies above the mean, it is mirrored, so that the difference is one of
/// lower tails and keeps its digits. Samples by the quantile function.
#[derive(Debug)]
pub struct TruncatedNormal {
    shape: Vec<i64>,
    count: i64,
    low: f64,
    high: f64,
    parameters: Parameters,
}

/// The standardised and possibly mirrored interval, `[B, N]` each.
struct Ends {
    location: Tensor,
    log_scale: Tensor,
    /// −1 where the interval is mirrored.
    sign: Tensor,
    lower: Tensor,
    upper: Tensor,
}

impl TruncatedNormal {
    /// The middle of the interval and a quarter of its width as mean and deviation, at the start.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty interval, and those of [`Parameters::new`].
    pub fn new(
        scope: &Scope<'_>,
        shape: &[i64],
        (low, high): (f64, f64),
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        if !(low.is_finite() && high.is_finite() && low < high) {
            let why = format!("expected low < high, got {low} and {high}");
            return Err(Error::config("interval", why));
        }
        let count: i64 = shape.iter().product();
        let each = [0.5 * (low + high), (0.25 * (high - low)).ln()];
        let start = Tensor::f_from_slice(&each)?.f_reshape([1, 2])?.f_repeat([1, count])?;
        let parameters = Parameters::new(scope, &start, context, network)?;
        Ok(Self { shape: shape.to_vec(), count, low, high, parameters })
    }

    fn ends(&self, rows: i64, context: Option<&Tensor>) -> Result<Ends> {
        let raw = self.parameters.get(rows, context)?.f_reshape([rows, self.count, 2])?;
        let (location, log_scale) = (raw.f_select(-1, 0)?, raw.f_select(-1, 1)?);
        let inverse = (-&log_scale).f_exp()?;
        let alpha: Tensor = (self.low - &location) * &inverse;
        let beta: Tensor = (self.high - &location) * inverse;
        let above = alpha.f_gt(0.0)?;
        let sign = above.f_to_kind(raw.kind())? * -2.0 + 1.0;
        Ok(Ends {
            location,
            log_scale,
            sign,
            lower: (-&beta).f_where_self(&above, &alpha)?,
            upper: (-&alpha).f_where_self(&above, &beta)?,
        })
    }
}

impl Density for TruncatedNormal {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.parameters.context_shape()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let rows = x.size()[0];
        let Ends { location, log_scale, lower, upper, .. } = self.ends(rows, context)?;
        let x = x.f_reshape([rows, self.count])?;
        let inside = x.f_ge(self.low)?.f_logical_and(&x.f_le(self.high)?)?;
        let t = (x - location) * (-&log_scale).f_exp()?;
        let top = upper.f_special_log_ndtr()?;
        let mass = &top + safe::log1mexp(&(&top - lower.f_special_log_ndtr()?))?;
        let each = t.f_square()? * -0.5 - HALF_LN_TAU - log_scale - mass;
        let none = Tensor::f_full_like(&each, f64::NEG_INFINITY)?;
        sum_events(&each.f_where_self(&inside, &none)?)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let Ends { location, log_scale, sign, lower, upper } = self.ends(count, context)?;
        // LibTorch's own `ndtr` is zero far out, where its logarithm keeps all digits.
        let cdf = |t: &Tensor| t.f_special_log_ndtr()?.f_exp();
        let (bottom, top) = (cdf(&lower)?, cdf(&upper)?);
        let u = location.f_rand_like()? * (top - &bottom) + bottom;
        let tiny = if u.kind() == Kind::Double { 1e-300 } else { 1e-37 };
        let t = u.f_clamp_min(tiny)?.f_special_ndtri()? * sign;
        let value = (t * log_scale.f_exp()? + location).f_clamp(self.low, self.high)?;
        Ok(value.f_reshape(batched(count, &self.shape).as_slice())?)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let value = self.draw(count, context)?;
        let log_prob = self.log_density(&value, context)?;
        Ok(Sampled { value, log_prob })
    }
}
