//! One evaluation of value and trace for a strip of rows, and its transposed derivative.

use super::gemm::{ROWS, WIDTH, dot, outer, tile};
use super::real::Real;
use super::simd::dispatch;
use super::weights::{Transposed, Weights};

/// Up to so many numbers of an event the last layer is a few dot products.
const FEW: usize = 4;

/// What belongs to the rows of a strip beside their states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aside<'a, T> {
    /// `b₁` of each row, where it is not shared, of padded width.
    pub(crate) bias: Option<&'a [T]>,
    /// `p = W₁ u` and `q = W₃ᵀ u` of each row's probe, of padded widths; none for the exact trace.
    pub(crate) probe: Option<(&'a [T], &'a [T])>,
}

/// Intermediates of several evaluations, row after row, of padded widths.
#[derive(Debug)]
pub(crate) struct Inner<T> {
    /// `h₁ = tanh z₁` and `(1 − h₁²) p`.
    pub(crate) h1: Vec<T>,
    pub(crate) e1: Vec<T>,
    /// `h₂ = tanh z₂` and `m = C e₁`.
    pub(crate) h2: Vec<T>,
    pub(crate) m: Vec<T>,
}

impl<T: Real> Inner<T> {
    /// Room for so many evaluations of a strip.
    pub(crate) fn new(evaluations: usize, p1: usize, p2: usize) -> Self {
        let zeros = |n: usize| vec![T::default(); evaluations * ROWS * n];
        Self { h1: zeros(p1), e1: zeros(p1), h2: zeros(p2), m: zeros(p2) }
    }
}

/// `v` (`[ROWS, stride]`, the first `D` of each row) and `τ` `[ROWS]` at `x` (`[ROWS, D]`) and `t`
/// `[ROWS]`; the intermediates go to the rows from `first` on.
///
/// This, [`backward`] and [`outer_sum`] are all that is compiled for each kind of processor, and
/// always for a whole strip: a strip of fewer rows holds one of them several times.
pub(crate) fn forward<T: Real>(
    w: &Weights<T>,
    aside: &Aside<'_, T>,
    at: (&[T], &[T; ROWS]),
    inner: (&mut Inner<T>, usize),
    out: (&mut [T], &mut [T], usize),
) {
    dispatch(
        #[inline(always)]
        || forward_strip(w, aside, at, inner, out),
    );
}

#[inline(always)]
fn forward_strip<T: Real>(
    w: &Weights<T>,
    aside: &Aside<'_, T>,
    (x, t): (&[T], &[T; ROWS]),
    (inner, first): (&mut Inner<T>, usize),
    (v, tau, stride): (&mut [T], &mut [T], usize),
) {
    let s = w.sizes;
    let h1 = &mut inner.h1[first * s.p1..(first + ROWS) * s.p1];
    let e1 = &mut inner.e1[first * s.p1..(first + ROWS) * s.p1];
    let h2 = &mut inner.h2[first * s.p2..(first + ROWS) * s.p2];
    let mid = &mut inner.m[first * s.p2..(first + ROWS) * s.p2];
    for panel in 0..s.p1 / WIDTH {
        let column = panel * WIDTH;
        let mut z = [[T::default(); WIDTH]; ROWS];
        for m in 0..ROWS {
            let bias = match aside.bias {
                Some(rows) => &rows[m * s.p1 + column..m * s.p1 + column + WIDTH],
                None => &w.b1[column..column + WIDTH],
            };
            let slope = &w.wt[column..column + WIDTH];
            for j in 0..WIDTH {
                z[m][j] = t[m].fma(slope[j], bias[j]);
            }
        }
        tile(x, s.d, w.w1.panel(panel), &mut z);
        for m in 0..ROWS {
            let at = m * s.p1 + column;
            let (h, e) = (&mut h1[at..at + WIDTH], &mut e1[at..at + WIDTH]);
            for j in 0..WIDTH {
                h[j] = z[m][j].tanh();
            }
            for j in 0..WIDTH {
                e[j] = T::ONE - h[j] * h[j];
            }
            if let Some((p, _)) = aside.probe {
                let p = &p[at..at + WIDTH];
                for j in 0..WIDTH {
                    e[j] = e[j] * p[j];
                }
            }
        }
    }
    let mut sums = [[T::default(); WIDTH]; ROWS];
    for panel in 0..s.p2 / WIDTH {
        let column = panel * WIDTH;
        let mut z = [[T::default(); WIDTH]; ROWS];
        for row in &mut z {
            row.copy_from_slice(&w.b2[column..column + WIDTH]);
        }
        tile(h1, s.p1, w.w2.panel(panel), &mut z);
        for m in 0..ROWS {
            let h = &mut h2[m * s.p2 + column..m * s.p2 + column + WIDTH];
            for j in 0..WIDTH {
                h[j] = z[m][j].tanh();
            }
        }
        let mut c = [[T::default(); WIDTH]; ROWS];
        tile(e1, s.p1, w.c.panel(panel), &mut c);
        for m in 0..ROWS {
            let at = m * s.p2 + column;
            let h = &h2[at..at + WIDTH];
            mid[at..at + WIDTH].copy_from_slice(&c[m]);
            for j in 0..WIDTH {
                let slope = T::ONE - h[j] * h[j];
                let part = match aside.probe {
                    Some((_, q)) => slope * q[at + j],
                    None => slope,
                };
                sums[m][j] = part.fma(c[m][j], sums[m][j]);
            }
        }
    }
    for m in 0..ROWS {
        tau[m] = sums[m].iter().fold(T::default(), |sum, x| sum + *x);
    }
    last_layer(w, h2, v, stride);
}

/// `v = W₃ h₂ + b₃`.
#[inline(always)]
fn last_layer<T: Real>(w: &Weights<T>, h2: &[T], v: &mut [T], stride: usize) {
    let s = w.sizes;
    if s.d <= FEW {
        for m in 0..ROWS {
            let h = &h2[m * s.p2..(m + 1) * s.p2];
            for k in 0..s.d {
                v[m * stride + k] = dot(h, &w.rows3[k * s.p2..(k + 1) * s.p2]) + w.b3[k];
            }
        }
        return;
    }
    for panel in 0..s.pd() / WIDTH {
        let column = panel * WIDTH;
        let count = (s.d - column).min(WIDTH);
        let mut out = [[T::default(); WIDTH]; ROWS];
        for row in &mut out {
            row[..count].copy_from_slice(&w.b3[column..column + count]);
        }
        tile(h2, s.p2, w.w3.panel(panel), &mut out);
        for m in 0..ROWS {
            v[m * stride + column..m * stride + column + count].copy_from_slice(&out[m][..count]);
        }
    }
}

/// What the backward passes of several evaluations leave for the parameters' gradients, row after row.
#[derive(Debug)]
pub(crate) struct Deltas<T> {
    /// Gradients by `z₁`, by `z₂` and by `m`.
    pub(crate) z1: Vec<T>,
    pub(crate) z2: Vec<T>,
    pub(crate) m: Vec<T>,
    /// Gradients by `p` and `q`, where there is a probe.
    pub(crate) p: Vec<T>,
    pub(crate) q: Vec<T>,
}

impl<T: Real> Deltas<T> {
    /// Room for so many evaluations of a strip.
    pub(crate) fn new(evaluations: usize, p1: usize, p2: usize) -> Self {
        let zeros = |n: usize| vec![T::default(); evaluations * ROWS * n];
        Self { z1: zeros(p1), z2: zeros(p2), m: zeros(p2), p: zeros(p1), q: zeros(p2) }
    }
}

/// The gradient by `x` `[ROWS, D]`, given those of `v` `[ROWS, D]` and `τ` `[ROWS]`; intermediates and
/// deltas are those of the rows from `first` on.
pub(crate) fn backward<T: Real>(
    weights: (&Weights<T>, &Transposed<T>),
    aside: &Aside<'_, T>,
    at: (&Inner<T>, &mut Deltas<T>, usize),
    grads: (&[T], &[T; ROWS]),
    gx: &mut [T],
) {
    dispatch(
        #[inline(always)]
        || backward_strip(weights, aside, at, grads, gx),
    );
}

/// `out += aᵀ b`, see [`outer`].
pub(crate) fn outer_sum<T: Real>(
    k: usize,
    a: (&[T], usize, usize),
    b: (&[T], usize),
    out: &mut [T],
) {
    dispatch(
        #[inline(always)]
        || outer(k, a, b, out),
    );
}

#[inline(always)]
fn backward_strip<T: Real>(
    (w, back): (&Weights<T>, &Transposed<T>),
    aside: &Aside<'_, T>,
    (inner, deltas, first): (&Inner<T>, &mut Deltas<T>, usize),
    (gv, gt): (&[T], &[T; ROWS]),
    gx: &mut [T],
) {
    let s = w.sizes;
    let h1 = &inner.h1[first * s.p1..(first + ROWS) * s.p1];
    let h2 = &inner.h2[first * s.p2..(first + ROWS) * s.p2];
    let middle = &inner.m[first * s.p2..(first + ROWS) * s.p2];
    let dz1 = &mut deltas.z1[first * s.p1..(first + ROWS) * s.p1];
    let dz2 = &mut deltas.z2[first * s.p2..(first + ROWS) * s.p2];
    let dm = &mut deltas.m[first * s.p2..(first + ROWS) * s.p2];
    let dp = &mut deltas.p[first * s.p1..(first + ROWS) * s.p1];
    let dq = &mut deltas.q[first * s.p2..(first + ROWS) * s.p2];
    let two = T::of(2.0);
    for panel in 0..s.p2 / WIDTH {
        let column = panel * WIDTH;
        let mut dh = [[T::default(); WIDTH]; ROWS];
        tile(gv, s.d, back.w3.panel(panel), &mut dh);
        for m in 0..ROWS {
            let at = m * s.p2 + column;
            for j in 0..WIDTH {
                let (h, mid) = (h2[at + j], middle[at + j]);
                let slope = T::ONE - h * h;
                let q = match aside.probe {
                    Some((_, q)) => q[at + j],
                    None => T::ONE,
                };
                let weight = gt[m] * q;
                // dτ/dz₂ = q m (−2 h₂ (1 − h₂²)).
                dz2[at + j] = slope * (dh[m][j] - two * h * weight * mid);
                dm[at + j] = weight * slope;
                if aside.probe.is_some() {
                    dq[at + j] = gt[m] * slope * mid;
                }
            }
        }
    }
    for panel in 0..s.p1 / WIDTH {
        let column = panel * WIDTH;
        let mut dh = [[T::default(); WIDTH]; ROWS];
        tile(dz2, s.p2, back.w2.panel(panel), &mut dh);
        let mut de = [[T::default(); WIDTH]; ROWS];
        tile(dm, s.p2, back.c.panel(panel), &mut de);
        for m in 0..ROWS {
            let at = m * s.p1 + column;
            for j in 0..WIDTH {
                let h = h1[at + j];
                let slope = T::ONE - h * h;
                let p = match aside.probe {
                    Some((p, _)) => p[at + j],
                    None => T::ONE,
                };
                dz1[at + j] = slope * (dh[m][j] - two * h * p * de[m][j]);
                if aside.probe.is_some() {
                    dp[at + j] = de[m][j] * slope;
                }
            }
        }
    }
    for panel in 0..s.pd() / WIDTH {
        let column = panel * WIDTH;
        let count = (s.d - column).min(WIDTH);
        let mut out = [[T::default(); WIDTH]; ROWS];
        tile(dz1, s.p1, back.w1.panel(panel), &mut out);
        for m in 0..ROWS {
            gx[m * s.d + column..m * s.d + column + count].copy_from_slice(&out[m][..count]);
        }
    }
}
