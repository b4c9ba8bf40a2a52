//! Small matrix products whose result is a few rows by one panel of columns, kept in registers.

use super::real::Real;

/// Columns of a panel.
pub(crate) const WIDTH: usize = 16;
/// Rows of a strip: with two registers of eight numbers to a panel, 12 accumulators.
pub(crate) const ROWS: usize = 6;

/// Rows of a block of an outer product.
const BLOCK: usize = 4;

/// A row of a panel.
pub(crate) type Lane<T> = [T; WIDTH];

/// A matrix `[K, N]` cut into panels of 16 columns, filled up with zeros.
#[derive(Debug, Clone)]
pub(crate) struct Panels<T> {
    data: Vec<Lane<T>>,
    k: usize,
}

impl<T: Real> Panels<T> {
    /// The matrix with `at(row, column)`.
    pub(crate) fn pack(k: usize, n: usize, at: impl Fn(usize, usize) -> T) -> Self {
        let mut data = Vec::with_capacity(k * n.div_ceil(WIDTH));
        for panel in 0..n.div_ceil(WIDTH) {
            for row in 0..k {
                let entry = |lane: usize| {
                    let column = panel * WIDTH + lane;
                    if column < n { at(row, column) } else { T::default() }
                };
                data.push(std::array::from_fn(entry));
            }
        }
        Self { data, k }
    }

    #[inline(always)]
    pub(crate) fn panel(&self, index: usize) -> &[Lane<T>] {
        &self.data[index * self.k..(index + 1) * self.k]
    }
}

/// Numbers of a row, filled up to whole panels.
pub(crate) fn padded(n: usize) -> usize {
    n.div_ceil(WIDTH) * WIDTH
}

/// `acc += a b` for the rows `a` of a strip, `K` numbers each and `stride` apart, and one panel `b`.
#[inline(always)]
pub(crate) fn tile<T: Real>(a: &[T], stride: usize, panel: &[Lane<T>], acc: &mut [Lane<T>; ROWS]) {
    let k = panel.len();
    let rows: [&[T]; ROWS] = std::array::from_fn(|m| &a[m * stride..m * stride + k]);
    let mut sum = *acc;
    for (i, b) in panel.iter().enumerate() {
        for m in 0..ROWS {
            let x = rows[m][i];
            for j in 0..WIDTH {
                sum[m][j] = x.fma(b[j], sum[m][j]);
            }
        }
    }
    *acc = sum;
}

/// `out += aᵀ b` for `K` rows of `a` (`na` numbers of `stride_a`) and of `b` (whole panels of
/// `stride_b`); `out` is `[na, stride_b]`.
#[inline(always)]
pub(crate) fn outer<T: Real>(
    k: usize,
    (a, na, stride_a): (&[T], usize, usize),
    (b, stride_b): (&[T], usize),
    out: &mut [T],
) {
    let mut from = 0;
    while from < na {
        // What is left over goes one by one.
        let rows = if na - from >= BLOCK { BLOCK } else { 1 };
        let (a, out) = (&a[from..], &mut out[from * stride_b..]);
        for column in (0..stride_b).step_by(WIDTH) {
            let b = (&b[column..], stride_b);
            if rows == BLOCK {
                outer_tile::<T, BLOCK>(k, (a, stride_a), b, &mut out[column..]);
            } else {
                outer_tile::<T, 1>(k, (a, stride_a), b, &mut out[column..]);
            }
        }
        from += rows;
    }
}

#[inline(always)]
fn outer_tile<T: Real, const M: usize>(
    k: usize,
    (a, stride_a): (&[T], usize),
    (b, stride_b): (&[T], usize),
    out: &mut [T],
) {
    let mut sum = [[T::default(); WIDTH]; M];
    for m in 0..M {
        sum[m].copy_from_slice(&out[m * stride_b..m * stride_b + WIDTH]);
    }
    for row in 0..k {
        let x: &[T] = &a[row * stride_a..row * stride_a + M];
        let y: &[T] = &b[row * stride_b..row * stride_b + WIDTH];
        for m in 0..M {
            for j in 0..WIDTH {
                sum[m][j] = x[m].fma(y[j], sum[m][j]);
            }
        }
    }
    for m in 0..M {
        out[m * stride_b..m * stride_b + WIDTH].copy_from_slice(&sum[m]);
    }
}

/// `Σ aᵢ bᵢ` over whole panels.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut sum = [T::default(); WIDTH];
    for (x, y) in a.chunks_exact(WIDTH).zip(b.chunks_exact(WIDTH)) {
        for j in 0..WIDTH {
            sum[j] = x[j].fma(y[j], sum[j]);
        }
    }
    let mut width = WIDTH / 2;
    while width > 0 {
        for j in 0..width {
            let other = sum[j + width];
            sum[j] += other;
        }
        width /= 2;
    }
    sum[0]
}
