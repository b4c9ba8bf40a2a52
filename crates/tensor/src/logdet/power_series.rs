//! Residual maps `x + g(x)` with a contraction `g`, by power series: one vector–Jacobian product
//! (`O(D)` for the usual networks) for each term and probe.

use crate::autograd::{Graph, gradient};
use crate::trace::row_product;
use crate::{Error, Result, check};
use tch::Tensor;

/// How an infinite series is cut at random such that its expectation stays (Russian roulette; Kahn
/// 1955; Chen et al. 2019, "Residual flows", arXiv:1906.02735, section 3.1).
///
/// The first `certain` terms are always taken, each further one with probability `1 − stop` after
/// its predecessor; a term is divided by the probability that it is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roulette {
    /// Terms that are always taken.
    pub certain: usize,
    /// Probability of stopping after each further term, in `(0, 1]`; 1 cuts the series there, which
    /// is biased.
    pub stop: f64,
}

impl Roulette {
    /// The number of terms for a uniform draw in `[0, 1)`: `certain` plus a geometric number.
    ///
    /// # Errors
    /// [`Error::Config`] for `stop` outside `(0, 1]`, or a draw outside `[0, 1)`.
    pub fn terms(&self, draw: f64) -> Result<usize> {
        if !(0.0 < self.stop && self.stop <= 1.0) {
            let why = format!("expected a probability in (0, 1], got {}", self.stop);
            return Err(Error::config("stop", why));
        }
        if !(0.0..1.0).contains(&draw) {
            return Err(Error::config("draw", format!("expected a number in [0, 1), got {draw}")));
        }
        if self.stop == 1.0 {
            return Ok(self.certain);
        }
        // P(more than n further terms) = (1 − stop)^(n + 1).
        let further = ((1.0 - draw).ln() / (1.0 - self.stop).ln()).floor();
        Ok(self.certain + further as usize)
    }

    /// `1 / P(term k is reached)` for the terms `1, …, terms`.
    #[must_use]
    pub fn weights(&self, terms: usize) -> Vec<f64> {
        let further = |k: usize| k.saturating_sub(self.certain) as i32;
        (1..=terms).map(|k| (1.0 - self.stop).powi(-further(k))).collect()
    }
}

/// `Σ_k (−1)^{k+1} w_k/k · vᵀ Jᵏ v` for a recorded `value = g(x)` with `J = ∂g/∂x`, shape `[B]`, in
/// nats: an estimate of `ln det(I + J) = Σ_k (−1)^{k+1} tr(Jᵏ)/k`, which converges where the
/// Lipschitz constant of `g` is below one (Behrmann et al. 2019, "Invertible residual networks",
/// arXiv:1811.00995, eq. 4).
///
/// The probes `v` are `[B, …]` as `x`, with zero mean and unit covariance
/// ([`crate::trace::Probe`]); `weights` holds one `w_k` for each term, as [`Roulette::weights`] gives
/// them. With the probes `√D eᵢ` for every `i` in turn and weights of one, the mean is the exact
/// truncated series.
///
/// With [`Graph::Differentiable`] the estimate is differentiable by `x` and all parameters of `g`;
/// memory then grows with the number of terms.
///
/// # Errors
/// [`Error::Shape`] where `value` or the probes have another shape than `x`.
pub fn power_series(
    value: &Tensor,
    x: &Tensor,
    probe: &Tensor,
    weights: &[f64],
    graph: Graph,
) -> Result<Tensor> {
    check::shape("g(x)", value, &x.size())?;
    check::shape("probe", probe, &x.size())?;
    let rows = x.size().first().copied().unwrap_or_default();
    let keep = if graph == Graph::Free { Graph::Keep } else { graph };
    let mut sum = Tensor::f_zeros([rows], (x.kind(), x.device()))?;
    let mut w = probe.shallow_clone();
    let mut sign = 1.0;
    for (i, weight) in weights.iter().enumerate() {
        w = gradient(value, Some(&w), x, keep)?;
        let term = row_product(&w, probe)? * (sign * weight / (i + 1) as f64);
        sum = sum.f_add(&term)?;
        sign = -sign;
    }
    Ok(sum)
}

/// A number for each row whose gradient is that of `ln det(I + J)` in expectation, in constant
/// memory: `uᵀ J v` with the constant `u = Σ_k (−1)ᵏ w_k (Jᵏ)ᵀ v`, `k ≥ 0` (Chen et al. 2019, eq. 8;
/// the Neumann series of `(I + J)⁻¹`). Its value means nothing.
///
/// `weights` holds one `w_k` for each of the terms `k ≥ 1`; that of `k = 0` is one.
///
/// # Errors
/// As [`power_series`].
pub fn neumann_surrogate(
    value: &Tensor,
    x: &Tensor,
    probe: &Tensor,
    weights: &[f64],
) -> Result<Tensor> {
    check::shape("g(x)", value, &x.size())?;
    check::shape("probe", probe, &x.size())?;
    let mut w = probe.f_detach()?;
    let mut u = w.shallow_clone();
    let mut sign = -1.0;
    for weight in weights {
        w = gradient(value, Some(&w), x, Graph::Keep)?.f_detach()?;
        u = u.f_add(&(&w * (sign * weight)))?;
        sign = -sign;
    }
    row_product(&gradient(value, Some(&u), x, Graph::Differentiable)?, probe)
}
