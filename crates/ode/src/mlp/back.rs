//! The steps of a worker backward, with the gradients of the parameters.

use super::eval::{Deltas, Inner, backward, forward};
use super::gemm::{ROWS, WIDTH, outer};
use super::real::Real;
use super::simd::{Kernel, dispatch};
use super::weights::{Transposed, Weights};
use super::worker::{Gathered, Taped, When, Worker, stage_state};
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
    /// Stage states `[S, M, D]`, with the time and a one `[S, M, D + 2]`.
    states: Vec<T>,
    joined: Vec<T>,
    k: Vec<T>,
    tau: Vec<T>,
    /// Gradients by the slopes `[S, M, D]` and by the stage states `[S, M, D]`.
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
        states: zeros(stages * ROWS * s.d),
        joined: zeros(stages * ROWS * (s.d + 2)),
        k: zeros(stages * ROWS * (s.d + 1)),
        tau: zeros(ROWS),
        by_slope: zeros(stages * ROWS * s.d),
        by_state: zeros(stages * ROWS * s.d),
        aside: Gathered::default(),
    };
    dispatch(Back { pass: &mut pass, worker, a_ell, total: &mut total });
    total
}

struct Back<'a, 'b, T> {
    pass: &'a mut Pass<'b, T>,
    worker: &'a Worker<T>,
    a_ell: &'a [T],
    total: &'a mut Gradients<T>,
}

impl<T: Real> Kernel for Back<'_, '_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { pass, worker, a_ell, total } = self;
        let all: Vec<usize> = (0..worker.rows).collect();
        for step in worker.tape.iter().flatten().rev() {
            let rows = step.rows.as_deref().unwrap_or(&all);
            for (part, chunk) in rows.chunks(ROWS).enumerate() {
                let at = (step, chunk, part * ROWS);
                match chunk.len() {
                    1 => pass.strip::<1>(worker, at, a_ell, total),
                    2 => pass.strip::<2>(worker, at, a_ell, total),
                    3 => pass.strip::<3>(worker, at, a_ell, total),
                    4 => pass.strip::<4>(worker, at, a_ell, total),
                    5 => pass.strip::<5>(worker, at, a_ell, total),
                    _ => pass.strip::<6>(worker, at, a_ell, total),
                }
            }
        }
    }
}

impl<T: Real> Pass<'_, T> {
    #[inline(always)]
    fn strip<const M: usize>(
        &mut self,
        worker: &Worker<T>,
        (step, rows, first): (&Taped<T>, &[usize], usize),
        a_ell: &[T],
        total: &mut Gradients<T>,
    ) {
        let (w, tableau, stages) = (self.w, self.tableau, self.stages);
        let (s, d) = (w.sizes, w.sizes.d);
        let (wide, plane) = (d + 1, M * (d + 1));
        let when = When { t: &step.t, dt: &step.dt };
        let x = &step.x[first * d..(first + M) * d];
        let widths = (s.p1, s.p2);
        let aside = self.aside.gather(rows, widths, worker.bias.as_ref(), worker.probe.as_ref());
        // The stages once more.
        for stage in 0..stages {
            let y = &mut self.states[stage * M * d..(stage + 1) * M * d];
            let row_of = |j: usize| tableau.matrix[stage - 1][j];
            stage_state::<T, M>(d, (x, &self.k, plane), stage, row_of, (when, first), y);
            let times: [T; M] = std::array::from_fn(|m| {
                let (t, dt) = when.at(first + m);
                T::of(t + tableau.nodes[stage] * dt)
            });
            let slopes = &mut self.k[stage * plane..(stage + 1) * plane];
            let inner = (&mut self.inner, stage * M);
            forward::<T, M>(w, &aside, (y, &times), inner, (slopes, &mut self.tau, wide));
            for m in 0..M {
                let joined =
                    &mut self.joined[(stage * M + m) * (d + 2)..(stage * M + m + 1) * (d + 2)];
                joined[..d].copy_from_slice(&y[m * d..(m + 1) * d]);
                joined[d] = times[m];
                joined[d + 1] = T::ONE;
            }
        }
        // Backward: gk = dt (b a + Σ a gx of later stages), and gx from each evaluation.
        for stage in (0..stages).rev() {
            let b = tableau.weights[stage];
            let mut by_trace = [T::default(); M];
            for (m, &row) in rows.iter().enumerate() {
                let (_, dt) = when.at(first + m);
                by_trace[m] = T::of(b * dt) * a_ell[row];
                let at = (stage * M + m) * d;
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
                        let from = self.by_state[(later * M + m) * d + j];
                        self.by_slope[at + j] = weight.fma(from, self.by_slope[at + j]);
                    }
                }
            }
            let (by_slope, by_state) = (&self.by_slope, &mut self.by_state);
            backward::<T, M>(
                (w, self.back),
                &aside,
                (&self.inner, &mut self.deltas, stage * M),
                (&by_slope[stage * M * d..(stage + 1) * M * d], &by_trace),
                &mut by_state[stage * M * d..(stage + 1) * M * d],
            );
        }
        for (m, &row) in rows.iter().enumerate() {
            for stage in 0..stages {
                for j in 0..d {
                    total.x[row * d + j] += self.by_state[(stage * M + m) * d + j];
                }
            }
        }
        self.gather::<M>(rows, total);
    }

    /// Adds the strip's part to the gradients of the parameters.
    #[inline(always)]
    fn gather<const M: usize>(&self, rows: &[usize], total: &mut Gradients<T>) {
        let (s, d, count) = (self.w.sizes, self.w.sizes.d, self.stages * M);
        let (inner, deltas) = (&self.inner, &self.deltas);
        outer(count, (&self.joined, d + 2, d + 2), (&deltas.z1, s.p1), &mut total.first);
        outer(count, (&deltas.z2, s.second, s.p2), (&inner.h1, s.p1), &mut total.w2);
        outer(count, (&deltas.m, s.second, s.p2), (&inner.e1, s.p1), &mut total.c);
        outer(count, (&self.by_slope, d, d), (&inner.h2, s.p2), &mut total.w3);
        outer(count, (&self.joined[d + 1..], 1, d + 2), (&deltas.z2, s.p2), &mut total.b2);
        for row in 0..count {
            for j in 0..d {
                total.b3[j] += self.by_slope[row * d + j];
            }
        }
        let add = |to: &mut [T], from: &[T], width: usize| {
            for stage in 0..self.stages {
                for (m, &row) in rows.iter().enumerate() {
                    let from = &from[(stage * M + m) * width..(stage * M + m + 1) * width];
                    let to = &mut to[row * width..(row + 1) * width];
                    for (to, from) in to.chunks_exact_mut(WIDTH).zip(from.chunks_exact(WIDTH)) {
                        for j in 0..WIDTH {
                            to[j] += from[j];
                        }
                    }
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
