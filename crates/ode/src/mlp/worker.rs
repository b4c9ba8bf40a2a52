//! The rows of one thread, and steps with them.

use super::eval::{Aside, Inner, forward};
use super::gemm::ROWS;
use super::real::Real;
use super::weights::Weights;
use crate::tableau::{Estimate, Tableau};

/// Rows of the batch with their states `(x, ℓ)`, `dℓ/dt = tr ∂v/∂x`.
#[derive(Debug)]
pub(crate) struct Worker<T> {
    pub(crate) rows: usize,
    /// `[n, D]` and `[n]`.
    pub(crate) x: Vec<T>,
    pub(crate) ell: Vec<T>,
    /// Slopes `(v, τ)` at the current states, `[n, D + 1]`, and whether they are those.
    k1: Vec<T>,
    known: Vec<bool>,
    /// What the last try proposes.
    x1: Vec<T>,
    ell1: Vec<T>,
    k_end: Vec<T>,
    pub(crate) bias: Option<Vec<T>>,
    pub(crate) probe: Option<(Vec<T>, Vec<T>)>,
    /// Accepted steps, where they are wanted again.
    pub(crate) tape: Option<Vec<Taped<T>>>,
    scratch: Scratch<T>,
}

/// An accepted step.
#[derive(Debug)]
pub(crate) struct Taped<T> {
    /// The rows that made it; `None` for all.
    pub(crate) rows: Option<Vec<usize>>,
    /// Time and size: one for all rows, or one for each of `rows`.
    pub(crate) t: Vec<f64>,
    pub(crate) dt: Vec<f64>,
    /// Their states before it, `[·, D]`.
    pub(crate) x: Vec<T>,
}

#[derive(Debug)]
struct Scratch<T> {
    inner: Inner<T>,
    /// Stage states `[ROWS, D]`, slopes `[S, ROWS, D + 1]`, traces `[ROWS]`.
    x: Vec<T>,
    y: Vec<T>,
    k: Vec<T>,
    tau: Vec<T>,
    aside: Gathered<T>,
}

/// Rows of what belongs to the samples, side by side.
#[derive(Debug, Default)]
pub(crate) struct Gathered<T> {
    bias: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
}

impl<T: Real> Gathered<T> {
    /// The rows `rows` of a worker's data.
    pub(crate) fn gather<'a>(
        &'a mut self,
        rows: &[usize],
        (p1, p2): (usize, usize),
        bias: Option<&Vec<T>>,
        probe: Option<&(Vec<T>, Vec<T>)>,
    ) -> Aside<'a, T> {
        let copy = |to: &mut Vec<T>, from: &[T], width: usize| {
            to.clear();
            rows.iter().for_each(|&r| to.extend_from_slice(&from[r * width..(r + 1) * width]));
        };
        if let Some(bias) = bias {
            copy(&mut self.bias, bias, p1);
        }
        if let Some((p, q)) = probe {
            copy(&mut self.p, p, p1);
            copy(&mut self.q, q, p2);
        }
        Aside {
            bias: bias.map(|_| self.bias.as_slice()),
            probe: probe.map(|_| (self.p.as_slice(), self.q.as_slice())),
        }
    }
}

/// How errors are weighed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    pub(crate) rtol: f64,
    pub(crate) atol: f64,
}

/// When and how far: one number for all rows, or one for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When<'a> {
    pub(crate) t: &'a [f64],
    pub(crate) dt: &'a [f64],
}

impl When<'_> {
    fn at(&self, i: usize) -> (f64, f64) {
        let i = if self.t.len() == 1 { 0 } else { i };
        (self.t[i], self.dt[i])
    }
}

/// A strip: rows, their places among those of the step, sizes and times. Where there are fewer than
/// `ROWS`, the last fills it up.
#[derive(Debug)]
pub(crate) struct Strip {
    pub(crate) rows: [usize; ROWS],
    pub(crate) places: [usize; ROWS],
    pub(crate) t: [f64; ROWS],
    pub(crate) dt: [f64; ROWS],
}

impl Strip {
    /// The strip of `rows` (one at least), the first of which is at the place `first` of `when`.
    pub(crate) fn new(rows: &[usize], when: When<'_>, first: usize) -> Self {
        let places: [usize; ROWS] = std::array::from_fn(|m| m.min(rows.len() - 1));
        Self {
            rows: places.map(|m| rows[m]),
            t: places.map(|m| when.at(first + m).0),
            dt: places.map(|m| when.at(first + m).1),
            places,
        }
    }

    /// `t + c dt`.
    pub(crate) fn times<T: Real>(&self, c: f64) -> [T; ROWS] {
        std::array::from_fn(|m| T::of(self.t[m] + c * self.dt[m]))
    }
}

impl<T: Real> Worker<T> {
    pub(crate) fn new(w: &Weights<T>, stages: usize, x: Vec<T>) -> Self {
        let s = w.sizes;
        let rows = x.len() / s.d;
        let zeros = |n: usize| vec![T::default(); n];
        Self {
            rows,
            ell: zeros(rows),
            k1: zeros(rows * (s.d + 1)),
            known: vec![false; rows],
            x1: zeros(rows * s.d),
            ell1: zeros(rows),
            k_end: zeros(rows * (s.d + 1)),
            x,
            bias: None,
            probe: None,
            tape: None,
            scratch: Scratch {
                inner: Inner::new(1, s.p1, s.p2),
                x: zeros(ROWS * s.d),
                y: zeros(ROWS * s.d),
                k: zeros(stages * ROWS * (s.d + 1)),
                tau: zeros(ROWS),
                aside: Gathered::default(),
            },
        }
    }

    /// The squared norms of states and slopes at the start, and of the change of the slope over a
    /// small step of Euler's method of size `trial`, one for each row: the numbers of the first step.
    pub(crate) fn first(
        &mut self,
        w: &Weights<T>,
        tolerance: Tolerance,
        when: When<'_>,
        trial: Option<&[f64]>,
    ) -> Vec<[f64; 2]> {
        let mut sums = vec![[0.0; 2]; self.rows];
        let all: Vec<usize> = (0..self.rows).collect();
        for rows in all.chunks(ROWS) {
            self.first_strip(w, tolerance, (rows, when), trial, &mut sums);
        }
        sums
    }

    fn first_strip(
        &mut self,
        w: &Weights<T>,
        tolerance: Tolerance,
        (rows, when): (&[usize], When<'_>),
        trial: Option<&[f64]>,
        sums: &mut [[f64; 2]],
    ) {
        let d = w.sizes.d;
        let size = |row: usize| trial.map_or(0.0, |h| h[if h.len() == 1 { 0 } else { row }]);
        let Scratch { inner, x, k, tau, aside, .. } = &mut self.scratch;
        let places: [usize; ROWS] = std::array::from_fn(|i| rows[i.min(rows.len() - 1)]);
        for (i, &row) in places.iter().enumerate() {
            let h = T::of(size(row));
            for j in 0..d {
                x[i * d + j] = self.x[row * d + j] + h * self.k1[row * (d + 1) + j];
            }
        }
        let times: [T; ROWS] = places.map(|row| T::of(when.at(row).0 + size(row)));
        let widths = (w.sizes.p1, w.sizes.p2);
        let aside = aside.gather(&places, widths, self.bias.as_ref(), self.probe.as_ref());
        forward(w, &aside, (x, &times), (inner, 0), (k, tau, d + 1));
        for (i, &row) in rows.iter().enumerate() {
            for j in 0..=d {
                let found = if j < d { k[i * (d + 1) + j] } else { tau[i] };
                let state = if j < d { self.x[row * d + j] } else { self.ell[row] };
                let scale = tolerance.atol + tolerance.rtol * state.abs().double();
                let at = &mut self.k1[row * (d + 1) + j];
                if trial.is_none() {
                    *at = found;
                    sums[row][0] += (state.double() / scale).powi(2);
                    sums[row][1] += (found.double() / scale).powi(2);
                } else {
                    sums[row][0] += ((found - *at).double() / scale).powi(2);
                }
            }
            self.known[row] = true;
        }
    }

    /// Tries a step with `rows` and returns the sum of squared errors of each over its tolerance.
    pub(crate) fn attempt(
        &mut self,
        w: &Weights<T>,
        tableau: &Tableau,
        tolerance: Tolerance,
        (rows, when): (&[usize], When<'_>),
    ) -> Vec<f64> {
        let mut sums = vec![0.0; rows.len()];
        for (part, chunk) in rows.chunks(ROWS).enumerate() {
            let first = part * ROWS;
            let out = &mut sums[first..first + chunk.len()];
            self.strip(w, tableau, tolerance, (chunk, when, first), out);
        }
        sums
    }

    fn strip(
        &mut self,
        w: &Weights<T>,
        tableau: &Tableau,
        tolerance: Tolerance,
        (rows, when, first): (&[usize], When<'_>, usize),
        out: &mut [f64],
    ) {
        let d = w.sizes.d;
        let (stages, wide) = (tableau.stages(), d + 1);
        let plane = ROWS * wide;
        let Scratch { inner, x, y, k, tau, aside } = &mut self.scratch;
        let strip = Strip::new(rows, when, first);
        let (widths, bias) = ((w.sizes.p1, w.sizes.p2), self.bias.as_ref());
        let aside = aside.gather(&strip.rows, widths, bias, self.probe.as_ref());
        let known = rows.iter().all(|&row| self.known[row]);
        for (m, &row) in strip.rows.iter().enumerate() {
            x[m * d..(m + 1) * d].copy_from_slice(&self.x[row * d..(row + 1) * d]);
            k[m * wide..(m + 1) * wide].copy_from_slice(&self.k1[row * wide..(row + 1) * wide]);
        }
        for stage in usize::from(known)..stages {
            let row_of = |j: usize| if stage == 0 { 0.0 } else { tableau.matrix[stage - 1][j] };
            stage_state(d, (x, k, plane), stage, row_of, &strip.dt, y);
            let times = strip.times(tableau.nodes[stage]);
            let slopes = &mut k[stage * plane..(stage + 1) * plane];
            forward(w, &aside, (y, &times), (inner, 0), (slopes, tau, wide));
            for m in 0..ROWS {
                slopes[m * wide + d] = tau[m];
            }
        }
        let fsal = tableau.is_fsal();
        if !fsal {
            stage_state(d, (x, k, plane), stages, |j| tableau.weights[j], &strip.dt, y);
        }
        let error = match tableau.error {
            Estimate::Embedded { weights, .. } => Some(weights),
            _ => None,
        };
        for (m, &row) in rows.iter().enumerate() {
            let dt = strip.dt[m];
            let sum = |weights: &[f64], j: usize| {
                weights.iter().enumerate().fold(T::default(), |sum, (s, b)| {
                    if *b == 0.0 { sum } else { sum + T::of(b * dt) * k[s * plane + m * wide + j] }
                })
            };
            let ell1 = self.ell[row] + sum(tableau.weights, d);
            self.ell1[row] = ell1;
            self.x1[row * d..(row + 1) * d].copy_from_slice(&y[m * d..(m + 1) * d]);
            let last = &k[(stages - 1) * plane + m * wide..(stages - 1) * plane + (m + 1) * wide];
            self.k_end[row * wide..(row + 1) * wide].copy_from_slice(last);
            // A rejected step starts again with the slope that was found.
            self.k1[row * wide..(row + 1) * wide].copy_from_slice(&k[m * wide..(m + 1) * wide]);
            self.known[row] = true;
            let Some(error) = error else { continue };
            let mut total = 0.0;
            for j in 0..wide {
                let (before, after) =
                    if j < d { (x[m * d + j], y[m * d + j]) } else { (self.ell[row], ell1) };
                let scale =
                    tolerance.atol + tolerance.rtol * before.abs().max(after.abs()).double();
                total += (sum(error, j).double() / scale).powi(2);
                if !after.double().is_finite() {
                    total = f64::NAN;
                }
            }
            out[m] = total;
        }
    }

    /// Takes over what the last try proposed for `rows` (`None`: all), and keeps the step where
    /// steps are wanted again.
    pub(crate) fn accept(&mut self, rows: Option<&[usize]>, when: When<'_>, fsal: bool, d: usize) {
        let wide = d + 1;
        if let Some(tape) = &mut self.tape {
            let x = match rows {
                None => self.x.clone(),
                Some(rows) => {
                    rows.iter().flat_map(|&r| self.x[r * d..(r + 1) * d].iter().copied()).collect()
                }
            };
            let rows = rows.map(<[usize]>::to_vec);
            tape.push(Taped { rows, t: when.t.to_vec(), dt: when.dt.to_vec(), x });
        }
        match rows {
            None => {
                std::mem::swap(&mut self.x, &mut self.x1);
                std::mem::swap(&mut self.ell, &mut self.ell1);
                std::mem::swap(&mut self.k1, &mut self.k_end);
                self.known.fill(fsal);
            }
            Some(rows) => {
                for &r in rows {
                    self.x[r * d..(r + 1) * d].copy_from_slice(&self.x1[r * d..(r + 1) * d]);
                    self.ell[r] = self.ell1[r];
                    self.k1[r * wide..(r + 1) * wide]
                        .copy_from_slice(&self.k_end[r * wide..(r + 1) * wide]);
                    self.known[r] = fsal;
                }
            }
        }
    }

    /// Forgets the slopes at the current states.
    pub(crate) fn forget(&mut self) {
        self.known.fill(false);
    }
}

/// `y = x + dt Σ_{j < count} aⱼ kⱼ` for the points of a strip.
pub(crate) fn stage_state<T: Real>(
    d: usize,
    (x, k, plane): (&[T], &[T], usize),
    count: usize,
    a: impl Fn(usize) -> f64,
    dt: &[f64; ROWS],
    y: &mut [T],
) {
    y[..ROWS * d].copy_from_slice(&x[..ROWS * d]);
    for j in 0..count {
        let weight = a(j);
        if weight == 0.0 {
            continue;
        }
        for m in 0..ROWS {
            let weight = T::of(weight * dt[m]);
            let from = j * plane + m * (d + 1);
            let slopes = &k[from..from + d];
            for (y, k) in y[m * d..(m + 1) * d].iter_mut().zip(slopes) {
                *y += weight * *k;
            }
        }
    }
}
