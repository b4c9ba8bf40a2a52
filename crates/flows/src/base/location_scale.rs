//! Location-scale families.

use super::{HALF_LN_TAU, batched, sum_events};
use crate::{NetworkConfig, Parameters};
use maxlik_model::{Density, Sampled};
use maxlik_nn::Scope;
use maxlik_tensor::{Result, safe};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// A family of densities on the real line, in its standard form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// `e^{−t²/2}/√2π`.
    #[default]
    Normal,
    /// `σ(t) σ(−t)`.
    Logistic,
    /// `½ e^{−|t|}`.
    Laplace,
    /// Student's, with `ν = 1 + softplus` degrees of freedom: `∝ (1 + t²/ν)^{−(ν+1)/2}`.
    StudentT,
}

/// Independent coordinates `x = m + eᵃ t` with `t` from a standard family: the parameters of each
/// coordinate are `(m, a)`, for Student's `(m, a, raw ν)`, trained or computed from the context by a
/// network. The latter is a conditional density, such as the normal of a regression.
///
/// `ln p(x) = Σ ln p_t((x − m) e^{−a}) − a`.
#[derive(Debug)]
pub struct LocationScale {
    shape: Vec<i64>,
    count: i64,
    family: Family,
    parameters: Parameters,
    options: (Kind, Device),
}

/// Raw degrees of freedom at the start: `ν = 5.02`.
const START: f64 = 4.0;

/// Location, log-scale and degrees of freedom, `[B, N]` each.
struct Numbers {
    location: Tensor,
    log_scale: Tensor,
    freedom: Option<Tensor>,
}

impl LocationScale {
    /// The standard form on events of this shape, at the start.
    ///
    /// # Errors
    /// Those of [`Parameters::new`].
    pub fn new(
        scope: &Scope<'_>,
        shape: &[i64],
        family: Family,
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        let count: i64 = shape.iter().product();
        let each: &[f64] = if family == Family::StudentT { &[0.0, 0.0, START] } else { &[0.0; 2] };
        let start = Tensor::f_from_slice(each)?.f_reshape([1, -1])?.f_repeat([1, count])?;
        Ok(Self {
            shape: shape.to_vec(),
            count,
            family,
            parameters: Parameters::new(scope, &start, context, network)?,
            options: (scope.kind(), scope.device()),
        })
    }

    fn numbers(&self, rows: i64, context: Option<&Tensor>) -> Result<Numbers> {
        let raw = self.parameters.get(rows, context)?;
        let raw = raw.f_reshape([rows, self.count, self.each()])?;
        let freedom = match self.family {
            Family::StudentT => Some(safe::softplus(&raw.f_select(-1, 2)?)? + 1.0),
            Family::Normal | Family::Logistic | Family::Laplace => None,
        };
        Ok(Numbers { location: raw.f_select(-1, 0)?, log_scale: raw.f_select(-1, 1)?, freedom })
    }

    fn each(&self) -> i64 {
        if self.family == Family::StudentT { 3 } else { 2 }
    }

    fn log_standard(&self, t: &Tensor, freedom: Option<&Tensor>) -> Result<Tensor> {
        Ok(match (self.family, freedom) {
            (Family::Logistic, _) => t.f_log_sigmoid()? + (-t).f_log_sigmoid()?,
            (Family::Laplace, _) => -t.f_abs()? - std::f64::consts::LN_2,
            (Family::StudentT, Some(nu)) => {
                let half: Tensor = (nu + 1.0) * 0.5;
                let constant = half.f_lgamma()?
                    - (nu * 0.5).f_lgamma()?
                    - (nu * std::f64::consts::PI).f_log()? * 0.5;
                constant - half * (t.f_square()? / nu).f_log1p()?
            }
            (Family::Normal | Family::StudentT, _) => t.f_square()? * -0.5 - HALF_LN_TAU,
        })
    }

    fn draw_standard(&self, rows: i64, freedom: Option<&Tensor>) -> Result<Tensor> {
        let shape = [rows, self.count];
        // In (0, 1): a draw of zero would be infinite far out.
        let log_uniform = || -> Result<Tensor> {
            let tiny = if self.options.0 == Kind::Double { 1e-300 } else { 1e-38 };
            Ok(Tensor::f_rand(shape, self.options)?.f_clamp_min(tiny)?.f_log()?)
        };
        Ok(match (self.family, freedom) {
            (Family::Logistic, _) => {
                let log_u = log_uniform()?;
                let log_rest = safe::log1mexp(&-&log_u)?;
                log_u - log_rest
            }
            // The difference of two exponentials.
            (Family::Laplace, _) => log_uniform()? - log_uniform()?,
            (Family::StudentT, Some(nu)) => {
                let half = nu * 0.5;
                let gamma = half.f_internal_standard_gamma()?;
                Tensor::f_randn(shape, self.options)? * (half / gamma).f_sqrt()?
            }
            (Family::Normal | Family::StudentT, _) => Tensor::f_randn(shape, self.options)?,
        })
    }
}

impl Density for LocationScale {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.parameters.context_shape()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let rows = x.size()[0];
        let Numbers { location, log_scale, freedom } = self.numbers(rows, context)?;
        let t = (x.f_reshape([rows, self.count])? - location) * (-&log_scale).f_exp()?;
        sum_events(&(self.log_standard(&t, freedom.as_ref())? - log_scale))
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let Numbers { location, log_scale, freedom } = self.numbers(count, context)?;
        let t = self.draw_standard(count, freedom.as_ref())?;
        let value = t * log_scale.f_exp()? + location;
        Ok(value.f_reshape(batched(count, &self.shape).as_slice())?)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let value = self.draw(count, context)?;
        let log_prob = self.log_density(&value, context)?;
        Ok(Sampled { value, log_prob })
    }
}
