//! Causal attention of one head in `f32`, and its adjoint: blocks of queries against the keys up to them.
//!
//! Everything lies packed in the cache, with zeros up to whole vectors of lanes. Products are made of
//! tiles of a few rows by 16 or 32 lanes, whose sums stay in registers.

use super::real::Real;

/// Columns come in multiples of this.
const LANES: usize = 16;

/// Rows of a product that are summed side by side.
const ROWS: usize = 4;

/// Queries that the adjoint takes at a time: a multiple of [`ROWS`], and of [`LANES`].
const BLOCK: usize = 16;

/// Rows of one head inside a tensor: row `i` starts at `i · stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

/// Queries, keys and values of one head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) query: Rows<'a>,
    pub(crate) key: Rows<'a>,
    pub(crate) value: Rows<'a>,
    pub(crate) tokens: usize,
    pub(crate) width: usize,
    /// What scores are multiplied by.
    pub(crate) scale: f32,
}

/// What the adjoint takes beside the head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cotangent<'a> {
    pub(crate) out: Rows<'a>,
    pub(crate) grad: Rows<'a>,
    /// `ln Σ_j exp s_ij` for each query.
    pub(crate) log_norm: &'a [f32],
}

/// Which gradient a row belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Query,
    Key,
    Value,
}

/// Working memory of one thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    query: Matrix,
    key: Matrix,
    value: Matrix,
    grad: Matrix,
    /// Keys and values with tokens as columns.
    key_across: Matrix,
    value_across: Matrix,
    /// Probabilities of a block of queries, and the gradient of their scores.
    weight: Matrix,
    slope: Matrix,
    rows: Matrix,
    grad_key: Matrix,
    grad_value: Matrix,
}

/// Row-major, with whole vectors of lanes as columns.
#[derive(Debug, Default)]
struct Matrix {
    data: Vec<f32>,
    columns: usize,
}

impl Matrix {
    /// Room for so many rows, with whatever was there before.
    #[inline(always)]
    fn reshape(&mut self, rows: usize, columns: usize) {
        self.columns = columns;
        self.data.resize(rows * columns, 0.0);
    }

    #[inline(always)]
    fn clear(&mut self, rows: usize, columns: usize) {
        self.reshape(rows, columns);
        self.data.fill(0.0);
    }

    #[inline(always)]
    fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.columns..(row + 1) * self.columns]
    }

    #[inline(always)]
    fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.columns..(row + 1) * self.columns]
    }

    /// `scale · from`, and zeros beyond it.
    #[inline(always)]
    fn pack(&mut self, from: Rows<'_>, tokens: usize, width: usize, scale: f32) {
        self.reshape(whole(tokens), whole(width));
        for token in 0..tokens {
            let from = &from.data[token * from.stride..token * from.stride + width];
            let to = self.row_mut(token);
            let (chunks, rest) = from.as_chunks::<LANES>();
            let (to, _) = to.as_chunks_mut::<LANES>();
            for (to, from) in to.iter_mut().zip(chunks) {
                *to = from.map(|x| x * scale);
            }
            if let Some(last) = to.get_mut(chunks.len()) {
                *last = [0.0; LANES];
                for (to, from) in last.iter_mut().zip(rest) {
                    *to = from * scale;
                }
            }
        }
        self.data[tokens * self.columns..].fill(0.0);
    }

    /// The transpose of the first columns of a packed matrix.
    #[inline(always)]
    fn turn(&mut self, from: &Self, width: usize) {
        let tokens = from.data.len() / from.columns;
        self.reshape(width, tokens);
        for first in (0..tokens).step_by(LANES) {
            let block = &from.data[first * from.columns..(first + LANES) * from.columns];
            for c in 0..width {
                let mut line = [0.0; LANES];
                for l in 0..LANES {
                    line[l] = block[l * from.columns + c];
                }
                let at = c * tokens + first;
                self.data[at..at + LANES].copy_from_slice(&line);
            }
        }
    }
}

/// The next multiple of [`LANES`].
#[inline(always)]
fn whole(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

/// The left factor of a product: entry `(r, k)` is at `r · row + k · step`.
#[derive(Clone, Copy)]
struct Left<'a> {
    data: &'a [f32],
    row: usize,
    step: usize,
}

/// `out_rn = Σ_k a_rk b_kn`, or that much more, for [`ROWS`] rows and the first `columns` columns.
#[inline(always)]
fn product<const ADD: bool>(
    a: Left<'_>,
    b: &Matrix,
    depth: usize,
    columns: usize,
    out: &mut [f32],
    stride: usize,
) {
    let b_rows = &b.data[..depth * b.columns];
    let mut first = 0;
    while first + 2 * LANES <= columns {
        tile::<{ 2 * LANES }, ADD>(a, b_rows, b.columns, first, out, stride);
        first += 2 * LANES;
    }
    if first < columns {
        tile::<LANES, ADD>(a, b_rows, b.columns, first, out, stride);
    }
}

#[inline(always)]
fn tile<const N: usize, const ADD: bool>(
    a: Left<'_>,
    b: &[f32],
    b_stride: usize,
    first: usize,
    out: &mut [f32],
    stride: usize,
) {
    let mut sums = [[0.0_f32; N]; ROWS];
    if ADD {
        for r in 0..ROWS {
            let at = r * stride + first;
            sums[r].copy_from_slice(&out[at..at + N]);
        }
    }
    for (k, b) in b.chunks_exact(b_stride).enumerate() {
        let mut line = [0.0_f32; N];
        line.copy_from_slice(&b[first..first + N]);
        for r in 0..ROWS {
            let x = a.data[r * a.row + k * a.step];
            for l in 0..N {
                sums[r][l] = x.fma(line[l], sums[r][l]);
            }
        }
    }
    for r in 0..ROWS {
        let at = r * stride + first;
        out[at..at + N].copy_from_slice(&sums[r]);
    }
}

/// Rows of the output, as they are done, and `ln Σ_j exp s_ij`.
#[inline(always)]
pub(crate) fn forward(
    head: &Head<'_>,
    scratch: &mut Scratch,
    log_norm: &mut [f32],
    mut write: impl FnMut(usize, &[f32]),
) {
    let (tokens, width) = (head.tokens, head.width);
    let Scratch { query, key, value, key_across, weight, rows, .. } = scratch;
    query.pack(head.query, tokens, width, head.scale);
    key.pack(head.key, tokens, width, 1.0);
    value.pack(head.value, tokens, width, 1.0);
    key_across.turn(key, width);
    weight.reshape(ROWS, whole(tokens));
    rows.reshape(ROWS, whole(width));
    for first in (0..tokens).step_by(ROWS) {
        let seen = whole(first + ROWS);
        let a = Left { data: &query.data[first * query.columns..], row: query.columns, step: 1 };
        let stride = weight.columns;
        product::<false>(a, key_across, width, seen, &mut weight.data, stride);
        let mut norm = [0.0; ROWS];
        for r in 0..ROWS {
            let row = &mut weight.row_mut(r)[..seen];
            row[first + r + 1..].fill(f32::NEG_INFINITY);
            let top = largest(row);
            let total = exponentials(row, top);
            row[first + r + 1..].fill(0.0);
            norm[r] = 1.0 / total;
            if let Some(log_norm) = log_norm.get_mut(first + r) {
                *log_norm = top + Real::ln(total);
            }
        }
        let a = Left { data: &weight.data, row: stride, step: 1 };
        let depth = (first + ROWS).min(value.data.len() / value.columns);
        let (columns, stride) = (value.columns, rows.columns);
        product::<false>(a, value, depth, columns, &mut rows.data, stride);
        for r in 0..ROWS.min(tokens - first) {
            let row = rows.row_mut(r);
            for x in row.iter_mut() {
                *x *= norm[r];
            }
            write(first + r, &row[..width]);
        }
    }
}

#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut top = [f32::NEG_INFINITY; LANES];
    for chunk in row.chunks_exact(LANES) {
        for l in 0..LANES {
            top[l] = if chunk[l] > top[l] { chunk[l] } else { top[l] };
        }
    }
    top.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// `exp(row − top)` in place, and its sum.
#[inline(always)]
fn exponentials(row: &mut [f32], top: f32) -> f32 {
    let mut total = [0.0; LANES];
    for chunk in row.chunks_exact_mut(LANES) {
        for l in 0..LANES {
            let e = Real::exp(chunk[l] - top);
            chunk[l] = e;
            total[l] += e;
        }
    }
    total.into_iter().sum()
}

/// Rows of the gradients by queries, keys and values, as they are done.
#[inline(always)]
pub(crate) fn backward(
    head: &Head<'_>,
    cotangent: &Cotangent<'_>,
    scratch: &mut Scratch,
    mut write: impl FnMut(Part, usize, &[f32]),
) {
    let (tokens, width) = (head.tokens, head.width);
    let (high, wide) = (whole(tokens), whole(width));
    let Scratch { query, key, value, grad, key_across, value_across, weight, slope, rows, .. } =
        scratch;
    let (grad_key, grad_value) = (&mut scratch.grad_key, &mut scratch.grad_value);
    query.pack(head.query, tokens, width, head.scale);
    key.pack(head.key, tokens, width, 1.0);
    value.pack(head.value, tokens, width, 1.0);
    grad.pack(cotangent.grad, tokens, width, 1.0);
    key_across.turn(key, width);
    value_across.turn(value, width);
    weight.reshape(BLOCK, high);
    slope.reshape(BLOCK, high);
    rows.reshape(BLOCK, wide);
    grad_key.clear(high, wide);
    grad_value.clear(high, wide);
    for first in (0..tokens).step_by(BLOCK) {
        let seen = first + BLOCK;
        for row in (0..BLOCK).step_by(ROWS) {
            let (from, to) = ((first + row) * wide, row * high);
            let a = Left { data: &query.data[from..], row: wide, step: 1 };
            product::<false>(a, key_across, width, seen, &mut weight.data[to..], high);
            let a = Left { data: &grad.data[from..], row: wide, step: 1 };
            product::<false>(a, value_across, width, seen, &mut slope.data[to..], high);
        }
        for r in 0..BLOCK {
            let i = first + r;
            let (weight, slope) = (&mut weight.row_mut(r)[..seen], &mut slope.row_mut(r)[..seen]);
            if i < tokens {
                let out = &cotangent.out.data[i * cotangent.out.stride..][..width];
                let mean = dot(out, &grad.row(i)[..width]);
                slopes(weight, slope, cotangent.log_norm[i], mean);
            }
            // What a query does not see, and queries that are not there.
            let shown = if i < tokens { i + 1 } else { 0 };
            weight[shown..].fill(0.0);
            slope[shown..].fill(0.0);
        }
        for row in (0..BLOCK).step_by(ROWS) {
            let a = Left { data: &slope.data[row * high..], row: high, step: 1 };
            product::<false>(a, key, seen, wide, &mut rows.data[row * wide..], wide);
        }
        for r in 0..BLOCK.min(tokens - first) {
            let row = rows.row_mut(r);
            for x in row.iter_mut() {
                *x *= head.scale;
            }
            write(Part::Query, first + r, &row[..width]);
        }
        let block = first * wide..(first + BLOCK) * wide;
        for j in (0..seen).step_by(ROWS) {
            let out = j * wide;
            let a = Left { data: &weight.data[j..], row: 1, step: high };
            let b = &grad.data[block.clone()];
            add(a, b, wide, &mut grad_value.data[out..]);
            let a = Left { data: &slope.data[j..], row: 1, step: high };
            add(a, &query.data[block.clone()], wide, &mut grad_key.data[out..]);
        }
    }
    for i in 0..tokens {
        write(Part::Key, i, &grad_key.row(i)[..width]);
        write(Part::Value, i, &grad_value.row(i)[..width]);
    }
}

/// `out_rn += Σ_k a_rk b_kn` for [`ROWS`] rows of all columns.
#[inline(always)]
fn add(a: Left<'_>, b: &[f32], columns: usize, out: &mut [f32]) {
    let mut first = 0;
    while first + 2 * LANES <= columns {
        tile::<{ 2 * LANES }, true>(a, b, columns, first, out, columns);
        first += 2 * LANES;
    }
    if first < columns {
        tile::<LANES, true>(a, b, columns, first, out, columns);
    }
}

/// Scores become probabilities `p = exp(s − log_norm)`, their cotangents those of the scores,
/// `p (g − mean)`.
#[inline(always)]
fn slopes(weight: &mut [f32], slope: &mut [f32], log_norm: f32, mean: f32) {
    for (w, g) in weight.chunks_exact_mut(LANES).zip(slope.chunks_exact_mut(LANES)) {
        for l in 0..LANES {
            let p = Real::exp(w[l] - log_norm);
            w[l] = p;
            g[l] = p * (g[l] - mean);
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = left.remainder().iter().zip(right.remainder()).map(|(&a, &b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for l in 0..LANES {
            sums[l] = a[l].fma(b[l], sums[l]);
        }
    }
    rest + sums.into_iter().sum::<f32>()
}
