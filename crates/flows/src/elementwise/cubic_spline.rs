//! Piecewise cubic maps.

use super::piecewise::{Bin, Interval, knots, sizes};
use super::root::{bisect, polish};
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::Result;
use tch::Tensor;

/// A monotone piecewise cubic map of an interval onto itself, the identity outside (Durkan et al.
/// 2019, "Cubic-spline flows", arXiv:1906.02145).
///
/// Raw parameters: `K` widths and `K` heights (softmax), then two for the derivatives at the ends, as
/// parts (sigmoid) of the largest that keep the piece monotone. The derivatives `d` at inner knots are
/// Steffen's (1990, "A simple method for monotonic interpolation in one dimension", eq. 11):
/// `d = 2 min(s_k, s_{k+1}, ½ q)` with the slopes `s = h/w` of both neighbours and that of the
/// parabola through the three knots, `q`.
///
/// In a bin, `z = y + h` times Hermite's cubic of `t = (x − x_k)/w` with the slopes `d/s` at its ends.
/// The inverse is a bisection and Newton's iteration.
#[derive(Debug, Clone, Copy)]
pub struct CubicSpline {
    interval: Interval,
    bins: i64,
}

/// The pieces: `[…, K]` widths and heights, `[…, K + 1]` knots and derivatives.
struct Pieces {
    w: Tensor,
    h: Tensor,
    x: Tensor,
    y: Tensor,
    d: Tensor,
}

/// Hermite's cubic from 0 to 1 on the unit interval with the slopes `a` and `b` at its ends.
struct Hermite {
    a: Tensor,
    b: Tensor,
}

impl Hermite {
    fn value(&self, t: &Tensor) -> Result<Tensor> {
        // a t + (3 − 2a − b) t² + (a + b − 2) t³.
        let second: Tensor = 3.0 - &self.a * 2.0 - &self.b;
        let third: Tensor = &self.a + &self.b - 2.0;
        Ok(t * (&self.a + t * (second + t * third)))
    }

    fn slope(&self, t: &Tensor) -> Result<Tensor> {
        // a (1 − t)² + b t² + 2 (3 − a − b) t (1 − t): a sum of terms that are seldom negative.
        let rest: Tensor = 1.0 - t;
        let middle: Tensor = 3.0 - &self.a - &self.b;
        let sum = &self.a * &rest * &rest + &self.b * t * t + middle * t * rest * 2.0;
        Ok(sum.f_clamp_min(1e-9)?)
    }
}

impl CubicSpline {
    /// The map with this many bins on this interval.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for no bins or an empty interval.
    pub fn new(bins: usize, interval: Interval) -> Result<Self> {
        Ok(Self { interval, bins: interval.check(bins)? })
    }

    fn pieces(&self, params: &Tensor) -> Result<Pieces> {
        let k = self.bins;
        let w = sizes(&params.f_narrow(-1, 0, k)?)?;
        let h = sizes(&params.f_narrow(-1, k, k)?)?;
        let ends = params.f_narrow(-1, 2 * k, 2)?.f_sigmoid()? * 3.0;
        let s = &h / &w;
        let pair = |of: &Tensor| -> Result<(Tensor, Tensor)> {
            Ok((of.f_narrow(-1, 0, k - 1)?, of.f_narrow(-1, 1, k - 1)?))
        };
        let ((s0, s1), (w0, w1)) = (pair(&s)?, pair(&w)?);
        let parabola = (&s0 * &w1 + &s1 * &w0) / (w0 + w1);
        let inner = s0.f_minimum(&s1)?.f_minimum(&(parabola * 0.5))? * 2.0;
        let first = ends.f_narrow(-1, 0, 1)? * s.f_narrow(-1, 0, 1)?;
        let last = ends.f_narrow(-1, 1, 1)? * s.f_narrow(-1, k - 1, 1)?;
        let d = Tensor::f_cat(&[first, inner, last], -1)?;
        Ok(Pieces { x: knots(&w)?, y: knots(&h)?, w, h, d })
    }
}

impl Pieces {
    fn hermite(&self, bin: &Bin, s: &Tensor) -> Result<Hermite> {
        Ok(Hermite { a: bin.pick(&self.d)? / s, b: bin.pick_next(&self.d)? / s })
    }
}

impl Univariate for CubicSpline {
    fn parameters(&self) -> i64 {
        2 * self.bins + 2
    }

    fn start(&self) -> Vec<f64> {
        // Slopes of one at the ends: sigmoid(−ln 2) = 1/3.
        let raw = std::iter::repeat_n(0.0, 2 * self.bins as usize);
        raw.chain([-std::f64::consts::LN_2; 2]).collect()
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let pieces = self.pieces(params)?;
        self.interval.apply(x, |v| {
            let bin = Bin::of(v, &pieces.x)?;
            let (w, h) = (bin.pick(&pieces.w)?, bin.pick(&pieces.h)?);
            let s = &h / &w;
            let cubic = pieces.hermite(&bin, &s)?;
            let t = (v - bin.pick(&pieces.x)?) / w;
            let value = bin.pick(&pieces.y)? + h * cubic.value(&t)?;
            Ok((value, (cubic.slope(&t)? * s).f_log()?))
        })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let pieces = self.pieces(params)?;
        self.interval.apply(z, |v| {
            let bin = Bin::of(v, &pieces.y)?;
            let (w, h) = (bin.pick(&pieces.w)?, bin.pick(&pieces.h)?);
            let s = &h / &w;
            let cubic = pieces.hermite(&bin, &s)?;
            let part = (v - bin.pick(&pieces.y)?) / h;
            let zero = part.f_zeros_like()?;
            let root = bisect(&zero, &zero.f_ones_like()?, &part, |t| cubic.value(t))?;
            let t =
                polish(&root, |t| Ok(t.f_sub(&((cubic.value(t)? - &part) / cubic.slope(t)?))?))?;
            Ok((bin.pick(&pieces.x)? + w * &t, -(cubic.slope(&t)? * s).f_log()?))
        })
    }
}
