//! The fused solve as one node of the graph.

use super::back::{Gradients, go_back};
use super::gemm::{ROWS, padded};
use super::real::Real;
use super::solve::{Ended, Plan, counts, solve};
use super::two_layer::TwoLayer;
use super::weights::{Raw, Sizes, numbers};
use super::worker::Worker;
use crate::solution::{Solution, Status};
use crate::{FromFn, Solver};
use maxlik_tensor::custom::{self, Forward, FusedOp};
use maxlik_tensor::{Error, Result};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Kind, Tensor};

/// Solves `(x, ℓ)` from `x` and `ℓ = 0` over `plan.times`: the points, the integrals `ℓ`, and the
/// solution's statistics.
pub(crate) fn solve_fused(
    network: &TwoLayer,
    probe: Option<&Tensor>,
    x: &Tensor,
    plan: Plan,
    solver: &Solver,
) -> Result<(Tensor, Tensor, Solution)> {
    let mut inputs = vec![x.shallow_clone()];
    inputs.extend(network.parts().iter().map(|part| part.shallow_clone()));
    match probe {
        None => inputs.push(network.bilinear()?),
        Some(u) => {
            inputs.push(network.w2.shallow_clone());
            inputs.push(u.f_matmul(&network.w1.f_transpose(0, 1)?)?);
            inputs.push(u.f_matmul(&network.w3)?);
        }
    }
    let outcome = Arc::new(Mutex::new(None));
    let op =
        Op { plan, solver: solver.clone(), tape: Mutex::new(None), outcome: Arc::clone(&outcome) };
    let references: Vec<&Tensor> = inputs.iter().collect();
    let outputs = custom::apply(op, &references)?;
    let solution = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (outputs.as_slice(), solution) {
        ([x, ell], Some(solution)) => Ok((x.shallow_clone(), ell.shallow_clone(), solution)),
        _ => Err(Error::unsupported("a solve without an outcome")),
    }
}

/// The parts of the batch, in the number type that was asked for.
#[derive(Debug)]
enum Tape {
    Single(Vec<Worker<f32>>),
    Double(Vec<Worker<f64>>),
}

#[derive(Debug)]
struct Op {
    plan: Plan,
    solver: Solver,
    tape: Mutex<Option<Tape>>,
    outcome: Arc<Mutex<Option<Solution>>>,
}

/// Inputs: `x`, seven parameters, `C`, and perhaps `p` and `q`.
const SHARED: usize = 9;

impl Op {
    fn run<T: Real>(&self, inputs: &[Tensor], keep: bool) -> Result<(Forward, Vec<Worker<T>>)> {
        let raw = Raw::<T>::read(&inputs[1..SHARED])?;
        let w = raw.pack();
        let s = w.sizes;
        let x = numbers::<T>(&inputs[0])?;
        let bias = (inputs[3].dim() == 2).then(|| padded_rows(&raw.parts[2], s.first));
        let probe = match &inputs[SHARED..] {
            [p, q] => {
                Some((padded_rows(&numbers(p)?, s.first), padded_rows(&numbers(q)?, s.second)))
            }
            _ => None,
        };
        let mut workers = split(&w, self.plan.tableau.stages(), &x, bias.as_ref(), probe.as_ref());
        if keep {
            workers.iter_mut().for_each(|worker| worker.tape = Some(Vec::new()));
        }
        let ended = solve(&self.plan, &w, &mut workers);
        let joined: Vec<T> = workers.iter().flat_map(|w| w.x.iter().copied()).collect();
        let ell: Vec<T> = workers.iter().flat_map(|w| w.ell.iter().copied()).collect();
        let end = Tensor::f_from_slice(&joined)?.f_view([-1, s.d as i64])?;
        let ell = Tensor::f_from_slice(&ell)?;
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(report(&ended, &end, &self.plan)?);
        Ok((Forward { outputs: vec![end, ell], saved: vec![] }, workers))
    }

    fn back<T: Real>(
        &self,
        inputs: &[Tensor],
        workers: &[Worker<T>],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let raw = Raw::<T>::read(&inputs[1..SHARED])?;
        let (w, transposed) = (raw.pack(), raw.transpose());
        let (a, a_ell) = (numbers::<T>(&grads[0])?, numbers::<T>(&grads[1])?);
        let (d, tableau) = (w.sizes.d, self.plan.tableau);
        let mut parts = Vec::with_capacity(workers.len());
        let mut begin = 0;
        for worker in workers {
            let end = begin + worker.rows;
            parts.push((worker, a[begin * d..end * d].to_vec(), &a_ell[begin..end]));
            begin = end;
        }
        let found: Vec<Gradients<T>> = parts
            .into_par_iter()
            .map(|(worker, a, ell)| go_back(worker, (&w, &transposed), &tableau, a, ell))
            .collect();
        collect(w.sizes, inputs, &found)
    }
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let (forward, tape) = match inputs[0].kind() {
            Kind::Float => {
                let (forward, workers) = self.run::<f32>(inputs, true)?;
                (forward, Tape::Single(workers))
            }
            _ => {
                let (forward, workers) = self.run::<f64>(inputs, true)?;
                (forward, Tape::Double(workers))
            }
        };
        *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = Some(tape);
        Ok(forward)
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        match &*self.tape.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Tape::Single(workers)) => self.back(inputs, workers, grads),
            Some(Tape::Double(workers)) => self.back(inputs, workers, grads),
            None => Err(Error::unsupported("a backward pass without a forward pass")),
        }
    }

    /// The same solve by the general solver.
    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let network = TwoLayer::from_parts(&inputs[1..SHARED - 1])?;
        let (c, probe) = (&inputs[SHARED - 1], &inputs[SHARED..]);
        let d = inputs[0].size()[1];
        let field = FromFn(|t: &Tensor, y: &Tensor| {
            let x = y.f_narrow(1, 0, d)?;
            let pair = match probe {
                [p, q] => Some((p, q)),
                _ => None,
            };
            let traced = network.traced(t, &x, c, pair)?;
            Ok(Tensor::f_cat(&[traced.velocity, traced.divergence.f_unsqueeze(1)?], 1)?)
        });
        let zeros = inputs[0].f_narrow(1, 0, 1)?.f_zeros_like()?;
        let start = Tensor::f_cat(&[inputs[0].shallow_clone(), zeros], 1)?;
        let times = Tensor::f_from_slice(&[self.plan.times.0, self.plan.times.1])?;
        // Rows of a probe are those of the batch: samples must not leave it one by one.
        let solution = joint(&self.solver)?.solve(&field, &start, &times)?;
        let end = solution.final_states();
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(solution);
        Ok(vec![end.f_narrow(1, 0, d)?, end.f_select(1, d)?])
    }
}

/// The solver with one step size for the batch.
fn joint(solver: &Solver) -> Result<Solver> {
    use crate::Control;
    let control = match solver.control() {
        Control::Adaptive(adaptive) => Control::Adaptive(adaptive.clone().joint()),
        fixed => fixed.clone(),
    };
    Solver::new(solver.stepper.clone(), control)
}

fn padded_rows<T: Real>(x: &[T], width: usize) -> Vec<T> {
    let wide = padded(width);
    let mut out = Vec::with_capacity(x.len() / width.max(1) * wide);
    for row in x.chunks_exact(width) {
        out.extend_from_slice(row);
        out.extend(std::iter::repeat_n(T::default(), wide - width));
    }
    out
}

/// The batch in as many parts as there are threads, each of whole strips.
fn split<T: Real>(
    w: &super::weights::Weights<T>,
    stages: usize,
    x: &[T],
    bias: Option<&Vec<T>>,
    probe: Option<&(Vec<T>, Vec<T>)>,
) -> Vec<Worker<T>> {
    let Sizes { d, p1, p2, .. } = w.sizes;
    let rows = x.len() / d;
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1);
    let size = rows.div_ceil(threads).next_multiple_of(ROWS).max(ROWS);
    (0..rows.div_ceil(size))
        .map(|part| {
            let (begin, end) = (part * size, ((part + 1) * size).min(rows));
            let mut worker = Worker::new(w, stages, x[begin * d..end * d].to_vec());
            worker.bias = bias.map(|b| b[begin * p1..end * p1].to_vec());
            worker.probe = probe
                .map(|(p, q)| (p[begin * p1..end * p1].to_vec(), q[begin * p2..end * p2].to_vec()));
            worker
        })
        .collect()
}

fn report(ended: &Ended, end: &Tensor, plan: &Plan) -> Result<Solution> {
    let rows = end.size()[0] as usize;
    let lane = |row: usize| &ended.lanes[if ended.lanes.len() == 1 { 0 } else { row }];
    let mut status: Vec<Status> =
        (0..rows).map(|row| lane(row).status.unwrap_or(Status::Success)).collect();
    if matches!(plan.control, crate::Control::Fixed(_)) && rows > 0 {
        let finite = maxlik_tensor::host::to_vec(&end.f_isfinite()?.f_all_dim(1, false)?)?;
        for (status, finite) in status.iter_mut().zip(finite) {
            if finite == 0.0 {
                *status = Status::NonFinite;
            }
        }
    }
    Ok(Solution {
        states: end.f_unsqueeze(0)?,
        last: end.shallow_clone(),
        reached: (0..rows).map(|row| lane(row).t).collect(),
        status,
        counts: counts(ended, rows),
        steps: ended.steps,
        events: Vec::new(),
    })
}

/// The gradients in the order of the inputs.
fn collect<T: Real>(
    s: Sizes,
    inputs: &[Tensor],
    found: &[Gradients<T>],
) -> Result<Vec<Option<Tensor>>> {
    let sum = |part: &dyn Fn(&Gradients<T>) -> &Vec<T>, wide: usize, width: usize| {
        let mut total = part(&found[0]).clone();
        for other in &found[1..] {
            total.iter_mut().zip(part(other)).for_each(|(a, b)| *a += *b);
        }
        let rows = Tensor::f_from_slice(&total)?.f_view([-1, wide as i64])?;
        Ok::<_, Error>(rows.f_narrow(1, 0, width as i64)?)
    };
    let stack = |part: &dyn Fn(&Gradients<T>) -> &Vec<T>, wide: usize, width: usize| {
        let all: Vec<T> = found.iter().flat_map(|g| part(g).iter().copied()).collect();
        let rows = Tensor::f_from_slice(&all)?.f_view([-1, wide as i64])?;
        Ok::<_, Error>(rows.f_narrow(1, 0, width as i64)?)
    };
    if found.is_empty() {
        return inputs.iter().map(|x| Ok(Some(x.f_zeros_like()?))).collect();
    }
    let d = s.d as i64;
    let first = sum(&|g| &g.first, s.p1, s.first)?;
    let shared = inputs[3].dim() == 1;
    let bias = if shared { first.f_select(0, d + 1)? } else { stack(&|g| &g.bias, s.p1, s.first)? };
    let mut grads = vec![
        stack(&|g| &g.x, s.d, s.d)?,
        first.f_narrow(0, 0, d)?.f_transpose(0, 1)?,
        first.f_select(0, d)?,
        bias,
        sum(&|g| &g.w2, s.p1, s.first)?,
        sum(&|g| &g.b2, s.p2, s.second)?.f_view([-1])?,
        sum(&|g| &g.w3, s.p2, s.second)?,
        sum(&|g| &g.b3, s.d, s.d)?.f_view([-1])?,
        sum(&|g| &g.c, s.p1, s.first)?,
    ];
    if inputs.len() > SHARED {
        grads.push(stack(&|g| &g.p, s.p1, s.first)?);
        grads.push(stack(&|g| &g.q, s.p2, s.second)?);
    }
    Ok(grads.into_iter().map(Some).collect())
}
