//! Gaussianization of one coordinate.

use super::mapped;
use super::root::{bisect, polish};
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::mixture::{Logs, logistic};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `z = Φ⁻¹(F(x))` with the distribution function `F(x) = Σ_k w_k σ((x − m_k) e^{−a_k})` of a mixture
/// of `K` logistics, whose raw parameters are the logits of `w`, then `m`, then `a`: a normal latent
/// wherever the data are that mixture (Meng et al. 2020, "Gaussianization flows", arXiv:2003.01941,
/// section 3.2).
///
/// `ln dz/dx = ln F'(x) − ln φ(z)`. Both tails are kept as logarithms, so that neither `F` nor
/// `1 − F` is rounded to zero. The inverse is a bisection between the quantiles of the components.
#[derive(Debug, Clone, Copy)]
pub struct Gaussianize {
    components: i64,
}

/// `½ ln 2π`.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// Newton steps of [`log_quantile`] without a graph; they converge from the start for logarithms
/// between `−10⁵` and `ln ½`.
const STEPS: usize = 8;

/// A mixture with its raw parameters `[B, D, 3K]`.
#[derive(Debug)]
pub(crate) struct Mixture {
    params: Tensor,
    components: i64,
}

impl Gaussianize {
    /// The map by a mixture of this many logistics.
    ///
    /// # Errors
    /// [`Error::Config`] for no components.
    pub fn new(components: usize) -> Result<Self> {
        match i64::try_from(components) {
            Ok(components) if components > 0 => Ok(Self { components }),
            _ => Err(Error::config("components", "expected at least one component")),
        }
    }

    fn mixture(&self, params: &Tensor) -> Mixture {
        Mixture::new(params, self.components)
    }
}

impl Mixture {
    /// The mixture of `k` logistics with the raw parameters `[B, D, 3k]`: logits, locations,
    /// log-scales.
    pub(crate) fn new(params: &Tensor, k: i64) -> Self {
        Self { params: params.shallow_clone(), components: k }
    }

    /// Where each component has these log-odds, `[B, D, K]`: the mixture's lie between.
    pub(crate) fn quantiles(&self, odds: &Tensor) -> Result<Tensor> {
        let k = self.components;
        let (location, log_scale) =
            (self.params.f_narrow(-1, k, k)?, self.params.f_narrow(-1, 2 * k, k)?);
        Ok(location.f_addcmul(&odds.f_unsqueeze(-1)?, &log_scale.f_exp()?)?)
    }

    pub(crate) fn at(&self, x: &Tensor) -> Result<Logs> {
        logistic(x, &self.params)
    }

    /// `ln F − ln(1 − F)`, which increases in `x` and is precise in both tails.
    fn log_odds(&self, x: &Tensor) -> Result<Tensor> {
        let logs = self.at(x)?;
        Ok(logs.below.f_sub(&logs.above)?)
    }
}

impl Univariate for Gaussianize {
    fn parameters(&self) -> i64 {
        3 * self.components
    }

    fn start(&self) -> Vec<f64> {
        // Components side by side on [−2, 2], wide enough to overlap.
        let k = self.components as usize;
        let place = |i: usize| (2 * i + 1) as f64 * 2.0 / k as f64 - 2.0;
        let width = (1.0 / k as f64).max(0.2).ln();
        let ends = std::iter::repeat_n(width, k);
        std::iter::repeat_n(0.0, k).chain((0..k).map(place)).chain(ends).collect()
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let logs = self.mixture(params).at(x)?;
        let ln_half = -std::f64::consts::LN_2;
        let lower = logs.below.f_le(ln_half)?;
        let left = log_quantile(&logs.below.f_clamp_max(ln_half)?)?;
        let right = -log_quantile(&logs.above.f_clamp_max(ln_half)?)?;
        let z = left.f_where_self(&lower, &right)?;
        let log = logs.density + z.f_square()? * 0.5 + HALF_LN_TAU;
        mapped(z, &log)
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let mixture = self.mixture(params);
        let odds = z.f_special_log_ndtr()?.f_sub(&(-z).f_special_log_ndtr()?)?;
        let quantiles = mixture.quantiles(&odds)?;
        let last = [-1_i64];
        let (low, high) =
            (quantiles.f_amin(last.as_slice(), false)?, quantiles.f_amax(last.as_slice(), false)?);
        let root = bisect(&low, &high, &odds, |x| mixture.log_odds(x))?;
        let x = polish(&root, |x| {
            let logs = mixture.at(x)?;
            // d(log odds)/dx = F'/(F (1 − F)).
            let slope = (&logs.density - &logs.below - &logs.above).f_exp()?;
            Ok(x.f_sub(&((logs.below - logs.above - &odds) / slope))?)
        })?;
        let log = -mixture.at(&x)?.density - z.f_square()? * 0.5 - HALF_LN_TAU;
        mapped(x, &log)
    }
}

/// `Φ⁻¹(eᴸ)` for `L ≤ ln ½`, by Newton's iteration on `ln Φ(z) = L`.
///
/// `ln Φ` is concave and `Φ(z) ≤ ½ e^{−z²/2}` for `z ≤ 0`, so that `z = −√(−2 (L + ln 2))` is a start
/// on the left of the root, from where the steps increase to it without overshooting.
fn log_quantile(log: &Tensor) -> Result<Tensor> {
    let step = |z: &Tensor| -> Result<Tensor> {
        let below = z.f_special_log_ndtr()?;
        // 1 / (d ln Φ/dz) = Φ/φ.
        let inverse_slope = (&below + z.f_square()? * 0.5 + HALF_LN_TAU).f_exp()?;
        Ok(z.f_sub(&((below - log) * inverse_slope))?)
    };
    let root = {
        let _no_grad = tch::no_grad_guard();
        let square = (log + std::f64::consts::LN_2) * -2.0;
        let mut z = -square.f_clamp_min(0.0)?.f_sqrt()?;
        for _ in 0..STEPS {
            z = step(&z)?;
        }
        z
    };
    polish(&root, step)
}
