//! Piecewise linear maps.

use super::piecewise::{Bin, Interval, knots, sizes};
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use tch::Tensor;

/// A monotone piecewise linear map of an interval onto itself, the identity outside: `K` bins of
/// equal width, whose heights are a softmax of the `K` raw parameters (Müller et al. 2019, "Neural
/// importance sampling", arXiv:1808.03856, section 4.2).
///
/// In bin `k`, `z = y_k + K h_k (x − x_k)` and `dz/dx = K h_k`, on the unit interval. The identity
/// where all parameters are equal.
#[derive(Debug, Clone, Copy)]
pub struct LinearSpline {
    interval: Interval,
    bins: i64,
}

impl LinearSpline {
    /// The map with this many bins on this interval.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for no bins or an empty interval.
    pub fn new(bins: usize, interval: Interval) -> Result<Self> {
        Ok(Self { interval, bins: interval.check(bins)? })
    }
}

impl Univariate for LinearSpline {
    fn parameters(&self) -> i64 {
        self.bins
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let heights = sizes(params)?;
        let (y, k) = (knots(&heights)?, self.bins as f64);
        self.interval.apply(x, |v| {
            let place = v * k;
            let index = place.f_detach()?.f_floor()?.f_clamp(0.0, k - 1.0)?;
            let bin = Bin::at(&index)?;
            let h = bin.pick(&heights)?;
            Ok((bin.pick(&y)? + &h * (place - index), (h * k).f_log()?))
        })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let heights = sizes(params)?;
        let (y, k) = (knots(&heights)?, self.bins as f64);
        self.interval.apply(z, |v| {
            let bin = Bin::of(v, &y)?;
            let h = bin.pick(&heights)?;
            let place = bin.index(v)? + (v - bin.pick(&y)?) / &h;
            Ok((place / k, -(h * k).f_log()?))
        })
    }
}
