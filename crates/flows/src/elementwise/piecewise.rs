//! What piecewise maps share: the interval, the bin of a point, and the tails.

use super::mapped;
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// An interval that a piecewise map takes onto itself; outside, the map is the identity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Least size of a bin, as a part of the interval, before it is divided by the number of bins.
pub(super) const FLOOR: f64 = 1e-3;

impl Interval {
    /// Checks the ends and the number of bins.
    ///
    /// # Errors
    /// [`Error::Config`] for an empty interval, or no bins.
    pub fn check(&self, bins: usize) -> Result<i64> {
        let Self { low, high } = *self;
        if !(low.is_finite() && high.is_finite() && low < high) {
            let why = format!("expected low < high, got {low} and {high}");
            return Err(Error::config("interval", why));
        }
        match i64::try_from(bins) {
            Ok(bins @ 1..=1024) => Ok(bins),
            _ => Err(Error::config("bins", format!("expected 1 to 1024 bins, got {bins}"))),
        }
    }

    /// Applies a map of the unit interval: points are clamped before, so that neither values nor
    /// gradients are NaN outside, and selected after.
    pub(super) fn apply(
        &self,
        x: &Tensor,
        unit_map: impl FnOnce(&Tensor) -> Result<(Tensor, Tensor)>,
    ) -> Result<Mapped> {
        let width = self.high - self.low;
        let inside = x.f_ge(self.low)?.f_logical_and(&x.f_le(self.high)?)?;
        let unit = (x.f_clamp(self.low, self.high)? - self.low) / width;
        let (value, log) = unit_map(&unit)?;
        let value = value * width + self.low;
        // Rounding must not push an end of the interval out of it; the gradient is left alone.
        let value = &value + (value.f_clamp(self.low, self.high)? - &value).f_detach()?;
        let log = log.f_where_self(&inside, &log.f_zeros_like()?)?;
        mapped(value.f_where_self(&inside, x)?, &log)
    }
}

/// Sizes `[…, K]` of bins that fill the unit interval, none less than the floor: a softmax.
pub(super) fn sizes(raw: &Tensor) -> Result<Tensor> {
    let bins = raw.size().last().copied().unwrap_or(1) as f64;
    Ok(raw.f_softmax(-1, None::<Kind>)? * (1.0 - FLOOR) + FLOOR / bins)
}

/// The knots `[…, K + 1]` of bins: their cumulative sums, from zero to one exactly.
pub(super) fn knots(sizes: &Tensor) -> Result<Tensor> {
    let bins = sizes.size().last().copied().unwrap_or(1);
    let inner = sizes.f_narrow(-1, 0, bins - 1)?.f_cumsum(-1, None::<Kind>)?;
    let end = sizes.f_narrow(-1, 0, 1)?;
    Ok(Tensor::f_cat(&[&end.f_zeros_like()?, &inner, &end.f_ones_like()?], -1)?)
}

/// The bin of each point.
pub(super) struct Bin(Tensor);

impl Bin {
    /// The bin between the knots `[…, K + 1]` that holds `v`.
    pub(super) fn of(v: &Tensor, knots: &Tensor) -> Result<Self> {
        let inner = knots.size().last().copied().unwrap_or(2) - 2;
        let above = v.f_unsqueeze(-1)?.f_ge_tensor(&knots.f_narrow(-1, 1, inner)?)?;
        Ok(Self(above.f_sum_dim_intlist([-1_i64].as_slice(), true, Kind::Int64)?))
    }

    /// The bin of this number, which is a whole one.
    pub(super) fn at(index: &Tensor) -> Result<Self> {
        Ok(Self(index.f_to_kind(Kind::Int64)?.f_unsqueeze(-1)?))
    }

    /// Its number, in the dtype of `like`.
    pub(super) fn index(&self, like: &Tensor) -> Result<Tensor> {
        Ok(self.0.f_squeeze_dim(-1)?.f_to_kind(like.kind())?)
    }

    /// The entry of that bin.
    pub(super) fn pick(&self, from: &Tensor) -> Result<Tensor> {
        Ok(from.f_gather(-1, &self.0, false)?.f_squeeze_dim(-1)?)
    }

    /// The entry after it: at the right knot of the bin.
    pub(super) fn pick_next(&self, from: &Tensor) -> Result<Tensor> {
        let next = self.0.f_add_scalar(1)?;
        Ok(from.f_gather(-1, &next, false)?.f_squeeze_dim(-1)?)
    }
}
