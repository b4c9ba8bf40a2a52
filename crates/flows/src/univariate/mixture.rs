//! Log-odds of mixtures of logistics: Flow++'s map, and deep sigmoidal maps, which stack it.

use super::Univariate;
use super::root::sum;
use crate::elementwise::gaussianize::Mixture;
use crate::elementwise::root::{bisect, polish};
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `z = logit F(x) · eᵃ + b` with `F` the distribution function of a mixture of `K` logistics (Ho et
/// al. 2019, "Flow++", arXiv:1902.00275, eqs. 10–11). Parameters: `b`, `a`, then the logits of the
/// weights, the locations and the log-scales.
///
/// `ln dz/dx = ln F' − ln F − ln(1 − F) + a`, all kept as logarithms. The inverse is a bisection
/// between the quantiles of the components.
#[derive(Debug, Clone, Copy)]
pub struct LogisticMixture {
    components: i64,
}

impl LogisticMixture {
    /// The map by a mixture of this many logistics.
    ///
    /// # Errors
    /// [`Error::Config`] for no components.
    pub fn new(components: usize) -> Result<Self> {
        Ok(Self { components: count("components", components)? })
    }
}

fn count(field: &str, n: usize) -> Result<i64> {
    match i64::try_from(n) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Error::config(field, "expected at least one")),
    }
}

/// The log-odds of a mixture with the parameters `[B, D, 3K]`, and the logarithm of their slope.
fn log_odds(x: &Tensor, params: &Tensor, components: i64) -> Result<(Tensor, Tensor)> {
    let logs = Mixture::new(params, components).at(x)?;
    let slope = &logs.density - &logs.below - &logs.above;
    Ok((logs.below - logs.above, slope))
}

/// The point with these log-odds.
fn from_log_odds(odds: &Tensor, params: &Tensor, components: i64) -> Result<Tensor> {
    let mixture = Mixture::new(params, components);
    let quantiles = mixture.quantiles(odds)?;
    let last = [-1_i64];
    let low = quantiles.f_amin(last.as_slice(), false)?;
    let high = quantiles.f_amax(last.as_slice(), false)?;
    let root = bisect(&low, &high, odds, |x| Ok(log_odds(x, params, components)?.0))?;
    polish(&root, |x| {
        let (value, slope) = log_odds(x, params, components)?;
        Ok(x.f_sub(&((value - odds) * (-slope).f_exp()?))?)
    })
}

/// Components side by side, so that they are told apart from the start.
fn start(components: i64) -> Vec<f64> {
    let k = components as usize;
    let place = move |i: usize| (2 * i + 1) as f64 * 2.0 / k as f64 - 2.0;
    let width = (1.0 / k as f64).max(0.2).ln();
    let ends = std::iter::repeat_n(width, k);
    std::iter::repeat_n(0.0, k).chain((0..k).map(place)).chain(ends).collect()
}

impl Univariate for LogisticMixture {
    fn parameters(&self) -> i64 {
        3 * self.components + 2
    }

    fn start(&self) -> Vec<f64> {
        [0.0, 0.0].into_iter().chain(start(self.components)).collect()
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (shift, log_scale) = (params.f_select(-1, 0)?, params.f_select(-1, 1)?);
        let mixture = params.f_narrow(-1, 2, 3 * self.components)?;
        let (odds, slope) = log_odds(x, &mixture, self.components)?;
        let value = shift.f_addcmul(&odds, &log_scale.f_exp()?)?;
        Ok(Mapped { value, log_det: sum(&(slope + log_scale))? })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let (shift, log_scale) = (params.f_select(-1, 0)?, params.f_select(-1, 1)?);
        let mixture = params.f_narrow(-1, 2, 3 * self.components)?;
        let odds = (z - shift) * (-&log_scale).f_exp()?;
        let value = from_log_odds(&odds, &mixture, self.components)?;
        let (_, slope) = log_odds(&value, &mixture, self.components)?;
        Ok(Mapped { value, log_det: -sum(&(slope + log_scale))? })
    }
}

/// A deep sigmoidal map, the univariate of neural autoregressive flows (Huang et al. 2018,
/// arXiv:1804.00779, eq. 8): layers `x ← logit Σ_k w_k σ(a_k x + b_k)` of `K` units each, with
/// weights that sum to one and positive `a`. Such a layer is the log-odds of a mixture of logistics,
/// and is inverted as one.
#[derive(Debug, Clone, Copy)]
pub struct DeepSigmoidal {
    units: i64,
    layers: i64,
}

impl DeepSigmoidal {
    /// The map of this many layers of this many units.
    ///
    /// # Errors
    /// [`Error::Config`] for no units or no layers.
    pub fn new(units: usize, layers: usize) -> Result<Self> {
        Ok(Self { units: count("units", units)?, layers: count("layers", layers)? })
    }

    fn layer(&self, params: &Tensor, layer: i64) -> Result<Tensor> {
        Ok(params.f_narrow(-1, 3 * self.units * layer, 3 * self.units)?)
    }
}

impl Univariate for DeepSigmoidal {
    fn parameters(&self) -> i64 {
        3 * self.units * self.layers
    }

    fn start(&self) -> Vec<f64> {
        (0..self.layers).flat_map(|_| start(self.units)).collect()
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let mut value = x.shallow_clone();
        let mut log = x.f_zeros_like()?;
        for layer in 0..self.layers {
            let (odds, slope) = log_odds(&value, &self.layer(params, layer)?, self.units)?;
            value = odds;
            log = log.f_add(&slope)?;
        }
        Ok(Mapped { value, log_det: sum(&log)? })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let mut value = z.shallow_clone();
        let mut log = z.f_zeros_like()?;
        for layer in (0..self.layers).rev() {
            let params = self.layer(params, layer)?;
            value = from_log_odds(&value, &params, self.units)?;
            log = log.f_sub(&log_odds(&value, &params, self.units)?.1)?;
        }
        Ok(Mapped { value, log_det: sum(&log)? })
    }
}
