//! Recursive checkpointing.

use super::tape::{self, Record};
use super::{Mode, Problem, accumulate};
use crate::solution::Solution;
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, grad, leaf, recorded};
use std::cell::RefCell;
use tch::Tensor;

#[derive(Debug)]
pub(super) struct Checkpointed {
    pub(super) snapshots: usize,
}

#[derive(Debug)]
pub(super) struct Tape {
    records: Vec<Record>,
    /// States before some of the steps, evenly spread.
    snapshots: Vec<(usize, Tensor)>,
}

impl Mode for Checkpointed {
    type Tape = Tape;

    fn forward(&self, problem: &Problem, y0: &Tensor) -> Result<(Solution, Tape)> {
        // The number of steps is not known before the end: every second state is dropped, and the
        // distance doubled, whenever the places are full.
        let kept = RefCell::new((1, Vec::<(usize, Tensor)>::new()));
        let each = |step: usize, y: &Tensor| {
            let (stride, states) = &mut *kept.borrow_mut();
            if step.is_multiple_of(*stride) {
                if states.len() == self.snapshots {
                    *stride *= 2;
                    states.retain(|(step, _)| step.is_multiple_of(*stride));
                }
                if step.is_multiple_of(*stride) {
                    states.push((step, y.shallow_clone()));
                }
            }
        };
        let (solution, records) = tape::record(problem, y0, &each)?;
        Ok((solution, Tape { records, snapshots: kept.into_inner().1 }))
    }

    fn backward(
        &self,
        problem: &Problem,
        inputs: &[Tensor],
        _states: &Tensor,
        grads: &Tensor,
        tape: &Tape,
    ) -> Result<Vec<Option<Tensor>>> {
        let clone = |(step, y): &(usize, Tensor)| (*step, y.shallow_clone());
        let mut stack: Vec<(usize, Tensor)> = tape.snapshots.iter().map(clone).collect();
        let parameters = &inputs[1..];
        let mut a = inputs[0].f_zeros_like()?;
        let mut sums: Vec<Option<Tensor>> = parameters.iter().map(|_| None).collect();
        for step in (0..tape.records.len()).rev() {
            stack.retain(|(at, _)| *at <= step);
            let y = self.state_before(problem, &tape.records, &mut stack, step)?;
            a = tape.records[step].arrive(&a, grads)?;
            let (by_state, found) = step_back(problem, &tape.records[step], &y, &a, parameters)?;
            a = by_state;
            accumulate(&mut sums, found)?;
        }
        a = a.f_add(&tape::at_start(problem, grads)?)?;
        Ok(std::iter::once(Some(a)).chain(sums).collect())
    }

    fn compose(&self, problem: &Problem, y0: &Tensor) -> Result<Solution> {
        problem.run(y0, true)
    }
}

impl Checkpointed {
    /// The state before a step, from the last stored one; stores further ones on the way.
    fn state_before(
        &self,
        problem: &Problem,
        records: &[Record],
        stack: &mut Vec<(usize, Tensor)>,
        step: usize,
    ) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        // The state before step 0 is always stored.
        let (mut at, mut y) =
            stack.last().map_or_else(|| (0, Tensor::new()), |(at, y)| (*at, y.shallow_clone()));
        let mut next = at + split(step - at + 1, self.snapshots.saturating_sub(stack.len()));
        while at < step {
            let made = records[at].load(&y)?;
            let part = made.pick(&y)?;
            let end = problem.solver.stepper().propagate(&made.point(problem, &part))?;
            y = made.put(&y, &end)?;
            at += 1;
            if at == next && at < step {
                stack.push((at, y.shallow_clone()));
                next = at + split(step - at + 1, self.snapshots.saturating_sub(stack.len()));
            }
        }
        Ok(y)
    }
}

/// How many of `length` steps to go before the next state is stored, with room for `free` states:
/// the binomial rule of Griewank and Walther (2000), which recomputes least. With `r` repetitions,
/// `C(free + r, free)` steps can be reversed.
fn split(length: usize, free: usize) -> usize {
    if free == 0 || length <= 1 {
        return length.max(1);
    }
    let mut repetitions = 0;
    let mut reach = 1_usize;
    let mut before = 1;
    while reach < length {
        repetitions += 1;
        before = reach;
        reach = reach.saturating_mul(free + repetitions) / repetitions;
    }
    before.clamp(1, length)
}

/// Gradients by the state before a step (of the whole batch) and by the parameters.
fn step_back(
    problem: &Problem,
    record: &Record,
    y: &Tensor,
    a: &Tensor,
    parameters: &[Tensor],
) -> Result<(Tensor, Vec<Option<Tensor>>)> {
    let made = record.load(y)?;
    let (part, cotangent) = (made.pick(y)?, made.pick(a)?);
    let mut found = recorded(|| {
        let part = leaf(&part)?;
        let end = problem.solver.stepper().propagate(&made.point(problem, &part))?;
        let inputs: Vec<&Tensor> =
            std::iter::once(&part).chain(parameters.iter().filter(|p| p.requires_grad())).collect();
        grad(&[&end], &[Some(&cotangent)], &inputs, Graph::Free)
    })?
    .into_iter();
    let by_state = found.next().flatten().map_or_else(|| part.f_zeros_like(), Ok)?;
    let by_parameters =
        parameters.iter().map(|p| if p.requires_grad() { found.next().flatten() } else { None });
    Ok((made.put(a, &by_state)?, by_parameters.collect()))
}
