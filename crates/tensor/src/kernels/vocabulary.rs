//! Sums over one long row of logits, and their adjoint.

use super::real::Real;

/// Partial sums that run side by side, so that the compiler can keep them in vectors.
const LANES: usize = 32;

/// What one row of logits comes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowSums<T> {
    /// `ln Σ_j exp z_j`.
    pub(crate) log_norm: T,
    /// `Σ_j q_j s_j` with `q` the softmax of the row, zero without scores.
    pub(crate) mean: T,
}

/// The sums of a row. It is read twice while it is in the cache: for its maximum, then for the rest.
#[inline(always)]
pub(crate) fn forward<T: Real>(z: &[T], scores: Option<&[T]>) -> RowSums<T> {
    let top = largest(z);
    let mut total = [T::ZERO; LANES];
    let mut weighted = [T::ZERO; LANES];
    let (mut rest, mut rest_weighted) = (T::ZERO, T::ZERO);
    match scores {
        None => {
            let chunks = z.chunks_exact(LANES);
            for &v in chunks.remainder() {
                rest += (v - top).exp();
            }
            for chunk in chunks {
                for l in 0..LANES {
                    total[l] += (chunk[l] - top).exp();
                }
            }
        }
        Some(s) => {
            let (chunks, score_chunks) = (z.chunks_exact(LANES), s.chunks_exact(LANES));
            for (&v, &s) in chunks.remainder().iter().zip(score_chunks.remainder()) {
                let e = (v - top).exp();
                rest += e;
                rest_weighted += e * s;
            }
            for (chunk, s) in chunks.zip(score_chunks) {
                for l in 0..LANES {
                    let e = (chunk[l] - top).exp();
                    total[l] += e;
                    weighted[l] = e.fma(s[l], weighted[l]);
                }
            }
        }
    }
    let total = rest + total.into_iter().sum();
    let weighted = rest_weighted + weighted.into_iter().sum();
    RowSums { log_norm: top + total.ln(), mean: weighted / total }
}

#[inline(always)]
fn largest<T: Real>(z: &[T]) -> T {
    let least = T::of(-1e30);
    let mut top = [least; LANES];
    let chunks = z.chunks_exact(LANES);
    let mut last = least;
    for &v in chunks.remainder() {
        last = if v > last { v } else { last };
    }
    for chunk in chunks {
        for l in 0..LANES {
            top[l] = if chunk[l] > top[l] { chunk[l] } else { top[l] };
        }
    }
    top.into_iter().fold(last, |a, b| if b > a { b } else { a })
}

/// The cotangents of one row: of the log-probability of its class, and of the mean score.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowGrads<T> {
    pub(crate) log_prob: T,
    pub(crate) mean: T,
}

/// `g₁ (1[k = y] − q_k) + g₂ q_k (s_k − mean)` for each entry `k` of the row.
#[inline(always)]
pub(crate) fn backward<T: Real>(
    z: &[T],
    scores: Option<&[T]>,
    class: usize,
    sums: RowSums<T>,
    grads: RowGrads<T>,
    out: &mut [T],
) {
    if grads.log_prob == T::ZERO && grads.mean == T::ZERO {
        // Padding: whatever stands there, it has no part in the loss.
        out.fill(T::ZERO);
        return;
    }
    match scores {
        None => {
            for (o, &v) in out.iter_mut().zip(z) {
                *o = -(grads.log_prob * (v - sums.log_norm).exp());
            }
        }
        Some(s) => {
            let shift = -grads.log_prob - grads.mean * sums.mean;
            for ((o, &v), &s) in out.iter_mut().zip(z).zip(s) {
                *o = (v - sums.log_norm).exp() * grads.mean.fma(s, shift);
            }
        }
    }
    if let Some(o) = out.get_mut(class) {
        *o += grads.log_prob;
    }
}
