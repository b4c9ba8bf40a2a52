//! Distribution functions as maps to the unit interval.

use super::{mapped, param};
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// A distribution on the real line, in its standard form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// `F(t) = Φ(t)`.
    #[default]
    Normal,
    /// `F(t) = 1/(1 + e^{−t})`.
    Logistic,
    /// `F(t) = ½ eᵗ` for `t < 0`, else `1 − ½ e^{−t}`.
    Laplace,
    /// `F(t) = ½ + arctan(t)/π`.
    Cauchy,
}

impl Distribution {
    fn cdf(self, t: &Tensor) -> Result<Tensor> {
        Ok(match self {
            // LibTorch's own `ndtr` loses all digits in the lower tail.
            Self::Normal => t.f_special_log_ndtr()?.f_exp()?,
            Self::Logistic => t.f_sigmoid()?,
            Self::Laplace => {
                let tail = (-t.f_abs()?).f_exp()? * 0.5;
                tail.f_where_self(&t.f_lt(0.0)?, &(1.0 - &tail))?
            }
            Self::Cauchy => t.f_atan()? * std::f64::consts::FRAC_1_PI + 0.5,
        })
    }

    fn log_density(self, t: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Normal => t.f_square()? * -0.5 - 0.5 * std::f64::consts::TAU.ln(),
            Self::Logistic => t.f_log_sigmoid()? + (-t).f_log_sigmoid()?,
            Self::Laplace => -t.f_abs()? - std::f64::consts::LN_2,
            Self::Cauchy => -t.f_square()?.f_log1p()? - std::f64::consts::PI.ln(),
        })
    }

    fn quantile(self, u: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Normal => u.f_special_ndtri()?,
            Self::Logistic => u.f_log()?.f_sub(&(-u).f_log1p()?)?,
            Self::Laplace => {
                let lower = (u * 2.0).f_log()?;
                let above: Tensor = 2.0 - u * 2.0;
                let upper = -above.f_log()?;
                lower.f_where_self(&u.f_lt(0.5)?, &upper)?
            }
            Self::Cauchy => ((u - 0.5) * std::f64::consts::PI).f_tan()?,
        })
    }
}

/// `u = F((x − m) e^{−a})` with the parameters `(m, a)`: real numbers to the unit interval, uniform
/// where the data have that distribution. `ln du/dx = ln F'((x − m) e^{−a}) − a`.
///
/// In the inverse, zero and one, to which far `x` are rounded, count as the numbers next to them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cdf {
    /// The distribution in its standard form.
    pub distribution: Distribution,
}

impl Univariate for Cdf {
    fn parameters(&self) -> i64 {
        2
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (location, log_scale) = (param(params, 0)?, param(params, 1)?);
        let t = (x - location) * (-&log_scale).f_exp()?;
        let log = self.distribution.log_density(&t)? - log_scale;
        mapped(self.distribution.cdf(&t)?, &log)
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (tiny, epsilon) = match z.kind() {
            Kind::Double => (f64::MIN_POSITIVE, f64::EPSILON),
            _ => (f64::from(f32::MIN_POSITIVE), f64::from(f32::EPSILON)),
        };
        let (location, log_scale) = (param(params, 0)?, param(params, 1)?);
        let t = self.distribution.quantile(&z.f_clamp(tiny, 1.0 - 0.5 * epsilon)?)?;
        let log = &log_scale - self.distribution.log_density(&t)?;
        mapped(t * log_scale.f_exp()? + location, &log)
    }
}
