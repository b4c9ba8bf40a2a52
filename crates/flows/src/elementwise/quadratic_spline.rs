//! Piecewise quadratic maps.

use super::piecewise::{Bin, Interval, knots, sizes};
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result, safe};
use tch::{Kind, Tensor};

/// A monotone piecewise quadratic map of an interval onto itself, the identity outside; its
/// derivative is piecewise linear (Müller et al. 2019, "Neural importance sampling",
/// arXiv:1808.03856, section 4.3).
///
/// Raw parameters: `K` widths (softmax), then the derivative at the knots up to a factor (softplus).
/// With `bounded`, the interval is the whole domain and there are `K + 1` of them; otherwise the
/// derivative at both ends is one, which joins the tails smoothly and leaves `K − 1`.
///
/// With the derivatives `p` at the knots and `t = (x − x_k)/w_k` in bin `k`, on the unit interval:
/// `z = y_k + w_k (p_k t + (p_{k+1} − p_k) t²/2)`, `dz/dx = p_k + (p_{k+1} − p_k) t`; `p` is scaled
/// such that `Σ ½ w_k (p_k + p_{k+1}) = 1`. The identity where all parameters are equal. The inverse
/// is the root of a quadratic polynomial, in the form that does not cancel.
#[derive(Debug, Clone, Copy)]
pub struct QuadraticSpline {
    interval: Interval,
    bins: i64,
    bounded: bool,
}

/// Least derivative at a knot, before the scaling.
const LEAST: f64 = 1e-3;

/// The pieces: `[…, K]` widths, `[…, K + 1]` knots and derivatives.
struct Pieces {
    w: Tensor,
    x: Tensor,
    y: Tensor,
    p: Tensor,
}

impl QuadraticSpline {
    /// The map with this many bins on this interval.
    ///
    /// # Errors
    /// [`Error::Config`] for no bins (for one, where the ends are fixed) or an empty interval.
    pub fn new(bins: usize, interval: Interval, bounded: bool) -> Result<Self> {
        let bins = interval.check(bins)?;
        if bins < 2 && !bounded {
            let why = "expected at least two bins, as the slopes at both ends are fixed";
            return Err(Error::config("bins", why));
        }
        Ok(Self { interval, bins, bounded })
    }

    fn pieces(&self, params: &Tensor) -> Result<Pieces> {
        let k = self.bins;
        let w = sizes(&params.f_narrow(-1, 0, k)?)?;
        let raw = safe::softplus(&params.f_narrow(-1, k, self.parameters() - k)?)? + LEAST;
        let last = [-1_i64];
        let area = |p: &Tensor| -> Result<Tensor> {
            let sum = p.f_narrow(-1, 0, k)? + p.f_narrow(-1, 1, k)?;
            Ok((sum * &w * 0.5).f_sum_dim_intlist(last.as_slice(), true, None::<Kind>)?)
        };
        let p = if self.bounded {
            raw
        } else {
            // Ends e with e/area = 1, where area = e (w_1 + w_K)/2 + the area without them.
            let rest = area(&raw.f_pad([1_i64, 1].as_slice(), "constant", 0.0)?)?;
            let ends = w.f_narrow(-1, 0, 1)? + w.f_narrow(-1, k - 1, 1)?;
            let end = rest / (1.0 - ends * 0.5);
            Tensor::f_cat(&[&end, &raw, &end], -1)?
        };
        let p = &p / area(&p)?;
        let heights = (p.f_narrow(-1, 0, k)? + p.f_narrow(-1, 1, k)?) * &w * 0.5;
        Ok(Pieces { x: knots(&w)?, y: knots(&heights)?, w, p })
    }
}

impl Univariate for QuadraticSpline {
    fn parameters(&self) -> i64 {
        if self.bounded { 2 * self.bins + 1 } else { 2 * self.bins - 1 }
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        let pieces = self.pieces(params)?;
        self.interval.apply(x, |v| {
            let bin = Bin::of(v, &pieces.x)?;
            let (w, p) = (bin.pick(&pieces.w)?, bin.pick(&pieces.p)?);
            let rise = bin.pick_next(&pieces.p)? - &p;
            let t = (v - bin.pick(&pieces.x)?) / &w;
            let value = bin.pick(&pieces.y)? + w * &t * (&p + &rise * &t * 0.5);
            Ok((value, (p + rise * t).f_log()?))
        })
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        let pieces = self.pieces(params)?;
        self.interval.apply(z, |v| {
            let bin = Bin::of(v, &pieces.y)?;
            let (w, p) = (bin.pick(&pieces.w)?, bin.pick(&pieces.p)?);
            let rise = bin.pick_next(&pieces.p)? - &p;
            let c = (v - bin.pick(&pieces.y)?) / &w;
            // ½ rise t² + p t − c = 0; the square root is the derivative there.
            let slope =
                (p.f_square()? + rise * &c * 2.0).f_clamp_min(LEAST * LEAST * 1e-9)?.f_sqrt()?;
            let t = c * 2.0 / (p + &slope);
            Ok((bin.pick(&pieces.x)? + w * t, -slope.f_log()?))
        })
    }
}
