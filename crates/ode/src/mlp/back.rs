//! The steps of a worker backward, with the gradients of the parameters.

use super::eval::{Deltas, Inner, backward, forward, outer_sum};
use super::gemm::ROWS;
use super::real::Real;
use super::weights::{Transposed, Weights};
use super::worker::{Gathered, Strip, Taped, When, Worker, stage_state};
use crate::tableau::Tableau;

/// Gradients of the parameters, of padded widths.
#[derive(Debug)]
pub(crate) struct Gradients<T> {
    /// By `[W₁ᵀ; w; b₁]`, `[D + 2, p₁]`.
    pub(crate) first: Vec<T>,
    /// By `W₂` and `C`, `[H₂, p₁]`.
    pub(crate) w2: Vec<T>,
    pub(crate) c: Vec<T>,
    /// By `b₂` `[p₂]`, `W₃` `[D, p₂]`, `b₃` `[D]`.
    pub(crate) b2: Vec<T>,
    pub(crate) w3: Vec<T>,
    pub(crate) b3: Vec<T>,
    /// By the rows' `b₁`, `p` and `q`.
    pub(crate) bias: Vec<T>,
    pub(crate) p: Vec<T>,
    pub(crate) q: Vec<T>,
    /// By the states at the start, `[n, D]`.
    pub(crate) x: Vec<T>,
}

struct Pass<'a, T> {
    w: &'a Weights<T>,
    back: &'a Transposed<T>,
    tableau: &'a Tableau,
    /// Stages that the state at the end depends on.
    stages: usize,
    inner: Inner<T>,
    deltas: Deltas<T>,
    /// States at the start `[ROWS, D]`.
    x: Vec<T>,
    /// Stage states `[S, ROWS, D]`, with the time and a one `[S, ROWS, D + 2]`.
    states: Vec<T>,
    joined: Vec<T>,
    k: Vec<T>,
    tau: Vec<T>,
    /// Gradients by the slopes `[S, ROWS, D]` and by the stage states `[S, ROWS, D]`.
    by_slope: Vec<T>,
    by_state: Vec<T>,
    aside: Gathered<T>,
}

/// Goes back through all steps on the worker's tape: `a` `[n, D]` are the gradients by the points at
/// the end, `a_ell` `[n]` those by `ℓ`.
pub(crate) fn go_back<T: Real>(
    worker: &Worker<T>,
    (w, back): (&Weights<T>, &Transposed<T>),
    tableau: &Tableau,
    a: Vec<T>,
    a_ell: &[T],
) -> Gradients<T> {
    let s = w.sizes;
    let zeros = |n: usize| vec![T::default(); n];
    let mut total = Gradients {
        first: zeros((s.d + 2) * s.p1),
        w2: zeros(s.second * s.p1),
        c: zeros(s.second * s.p1),
        b2: zeros(s.p2),
        w3: zeros(s.d * s.p2),
        b3: zeros(s.d),
        bias: zeros(if worker.bias.is_some() { worker.rows * s.p1 } else { 0 }),
        p: zeros(if worker.probe.is_some() { worker.rows * s.p1 } else { 0 }),
        q: zeros(if worker.probe.is_some() { worker.rows * s.p2 } else { 0 }),
        x: a,
    };
    let stages = tableau.stages() - usize::from(tableau.is_fsal());
    let mut pass = Pass {
        w,
        back,
        tableau,
        stages,
        inner: Inner::new(stages, s.p1, s.p2),
        deltas: Deltas::new(stages, s.p1, s.p2),
        x: zeros(ROWS * s.d),
        states: zeros(stages * ROWS * s.d),
        joined: zeros(stages * ROWS * (s.d + 2)),
        k: zeros(stages * ROWS * (s.d + 1)),
        tau: zeros(ROWS),
        by_slope: zeros(stages * ROWS * s.d),
        by_state: zeros(stages * ROWS * s.d),
        aside: Gathered::default(),
    };
    let all: Vec<usize> = (0..worker.rows).collect();
    for step in worker.tape.iter().flatten().rev() {
        let rows = step.rows.as_deref().unwrap_or(&all);
        for (part, chunk) in rows.chunks(ROWS).enumerate() {
            pass.strip(worker, (step, chunk, part * ROWS), a_ell, &mut total);
        }
    }
    total
}

impl<T: Real> Pass<'_, T> {
    fn strip(
        &mut self,
        worker: &Worker<T>,
        (step, rows, first): (&Taped<T>, &[usize], usize),
        a_ell: &[T],
        total: &mut Gradients<T>,
    ) {
        let (w, tableau, stages) = (self.w, self.tableau, self.stages);
        let (s, d) = (w.sizes, w.sizes.d);
        let (wide, plane) = (d + 1, ROWS * (d + 1));
        let strip = Strip::new(rows, When { t: &step.t, dt: &step.dt }, first);
        for (m, at) in strip.places.into_iter().enumerate() {
            let at = first + at;
            self.x[m * d..(m + 1) * d].copy_from_slice(&step.x[at * d..(at + 1) * d]);
        }
        let (bias, probe) = (worker.bias.as_ref(), worker.probe.as_ref());
        let aside = self.aside.gather(&strip.rows, (s.p1, s.p2), bias, probe);
        // The stages once more.
        for stage in 0..stages {
            let y = &mut self.states[stage * ROWS * d..(stage + 1) * ROWS * d];
            let row_of = |j: usize| tableau.matrix[stage - 1][j];
            stage_state(d, (&self.x, &self.k, plane), stage, row_of, &strip.dt, y);
            let times = strip.times(tableau.nodes[stage]);
            let slopes = &mut self.k[stage * plane..(stage + 1) * plane];
            let inner = (&mut self.inner, stage * ROWS);
            forward(w, &aside, (y, &times), inner, (slopes, &mut self.tau, wide));
            for m in 0..ROWS {
                let at = (stage * ROWS + m) * (d + 2);
                let joined = &mut self.joined[at..at + d + 2];
                joined[..d].copy_from_slice(&y[m * d..(m + 1) * d]);
                joined[d] = times[m];
                joined[d + 1] = T::ONE;
            }
        }
        // Backward: gk = dt (b a + Σ a gx of later stages), and gx from each evaluation. Rows that
        // only fill the strip keep gradients of zero.
        self.by_slope.fill(T::default());
        for stage in (0..stages).rev() {
            let b = tableau.weights[stage];
            let mut by_trace = [T::default(); ROWS];
            for (m, &row) in rows.iter().enumerate() {
                let dt = strip.dt[m];
                by_trace[m] = T::of(b * dt) * a_ell[row];
                let at = (stage * ROWS + m) * d;
                for j in 0..d {
                    self.by_slope[at + j] = T::of(b * dt) * total.x[row * d + j];
                }
                for later in stage + 1..stages {
                    let weight = tableau.matrix[later - 1][stage];
                    if weight == 0.0 {
                        continue;
                    }
                    let weight = T::of(weight * dt);
                    for j in 0..d {
                        let from = self.by_state[(later * ROWS + m) * d + j];
                        self.by_slope[at + j] += weight * from;
                    }
                }
            }
            let (by_slope, by_state) = (&self.by_slope, &mut self.by_state);
            backward(
                (w, self.back),
                &aside,
                (&self.inner, &mut self.deltas, stage * ROWS),
                (&by_slope[stage * ROWS * d..(stage + 1) * ROWS * d], &by_trace),
                &mut by_state[stage * ROWS * d..(stage + 1) * ROWS * d],
            );
        }
        for (m, &row) in rows.iter().enumerate() {
            for stage in 0..stages {
                for j in 0..d {
                    total.x[row * d + j] += self.by_state[(stage * ROWS + m) * d + j];
                }
            }
        }
        self.gather(rows, total);
    }

    /// Adds the strip's part to the gradients of the parameters.
    fn gather(&self, rows: &[usize], total: &mut Gradients<T>) {
        let (s, d, count) = (self.w.sizes, self.w.sizes.d, self.stages * ROWS);
        let (inner, deltas) = (&self.inner, &self.deltas);
        outer_sum(count, (&self.joined, d + 2, d + 2), (&deltas.z1, s.p1), &mut total.first);
        outer_sum(count, (&deltas.z2, s.second, s.p2), (&inner.h1, s.p1), &mut total.w2);
        outer_sum(count, (&deltas.m, s.second, s.p2), (&inner.e1, s.p1), &mut total.c);
        outer_sum(count, (&self.by_slope, d, d), (&inner.h2, s.p2), &mut total.w3);
        outer_sum(count, (&self.joined[d + 1..], 1, d + 2), (&deltas.z2, s.p2), &mut total.b2);
        for row in 0..count {
            for j in 0..d {
                total.b3[j] += self.by_slope[row * d + j];
            }
        }
        let add = |to: &mut [T], from: &[T], width: usize| {
            for stage in 0..self.stages {
                for (m, &row) in rows.iter().enumerate() {
                    let from = &from[(stage * ROWS + m) * width..(stage * ROWS + m + 1) * width];
                    let to = &mut to[row * width..(row + 1) * width];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
                }
            }
        };
        if !total.bias.is_empty() {
            add(&mut total.bias, &deltas.z1, s.p1);
        }
        if !total.p.is_empty() {
            add(&mut total.p, &deltas.p, s.p1);
            add(&mut total.q, &deltas.q, s.p2);
        }
    }
}
