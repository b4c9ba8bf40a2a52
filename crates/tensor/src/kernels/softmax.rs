//! Softmax over rows of lanes, with the soft clip of spline parameters, and its adjoint.

use super::real::Real;
use super::spline::{LANES, Lanes, each, fill};

/// Softmax over the rows of `raw` after the soft clip `u / (1 + |c u|)`.
#[inline(always)]
pub(super) fn softmax<T: Real>(raw: &[Lanes<T>], clip: T, out: &mut [Lanes<T>]) {
    if clip == T::ZERO {
        out.copy_from_slice(raw);
    } else {
        for (u, p) in raw.iter().zip(out.iter_mut()) {
            for l in 0..LANES {
                p[l] = u[l] / (T::ONE + (u[l] * clip).abs());
            }
        }
    }
    let mut top = fill(T::of(-1e30));
    for p in out.iter() {
        for l in 0..LANES {
            top[l] = if p[l] > top[l] { p[l] } else { top[l] };
        }
    }
    let mut total = fill(T::ZERO);
    for p in out.iter_mut() {
        for l in 0..LANES {
            p[l] = (p[l] - top[l]).exp();
            total[l] += p[l];
        }
    }
    let scale = each(|l| T::ONE / total[l]);
    for p in out.iter_mut() {
        for l in 0..LANES {
            p[l] = p[l] * scale[l];
        }
    }
}

/// Replaces raw sizes by their gradients: the sizes before the bin carry its start's cotangent, the
/// bin's own size carries `g_size`.
#[inline(always)]
pub(super) fn softmax_adjoint<T: Real>(
    raw: &mut [Lanes<T>],
    soft: &[Lanes<T>],
    clip: T,
    scale: T,
    index: &[u32; LANES],
    g_start: &Lanes<T>,
    g_size: &Lanes<T>,
) {
    let bins = raw.len();
    let cotangent = |k: usize, l: usize| {
        let at = index[l] as usize;
        // The last bin's size is what the others leave of the interval, so its cotangent falls on
        // the start; written as a size it is the same, since sizes sum to the span.
        let before = if k < at { g_start[l] } else { T::ZERO };
        let own = if k == at { g_size[l] } else { T::ZERO };
        before + own
    };
    let mut mean = fill(T::ZERO);
    for k in 0..bins {
        for l in 0..LANES {
            mean[l] += soft[k][l] * cotangent(k, l);
        }
    }
    for k in 0..bins {
        for l in 0..LANES {
            let grad = scale * soft[k][l] * (cotangent(k, l) - mean[l]);
            if clip == T::ZERO {
                raw[k][l] = grad;
            } else {
                let clipped = T::ONE + (raw[k][l] * clip).abs();
                raw[k][l] = grad / (clipped * clipped);
            }
        }
    }
}
