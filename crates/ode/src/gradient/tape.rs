//! What a forward solve did: enough to make its steps again, or backward.

use super::Problem;
use crate::solution::Solution;
use crate::solve::{Accepted, Plan};
use crate::stepper::Point;
use crate::time::indices;
use crate::{Rows, Time};
use maxlik_tensor::Result;
use std::cell::RefCell;
use tch::Tensor;

/// An accepted step.
#[derive(Debug)]
pub(super) struct Record {
    /// The samples that made it; `None` for all.
    rows: Option<Vec<i64>>,
    t: Vec<f64>,
    dt: Vec<f64>,
    /// Wanted times that are its end: index and sample (`None` for all).
    landed: Vec<(usize, Option<usize>)>,
    /// Whether all samples share one time.
    shared: bool,
}

/// A record as tensors.
pub(super) struct Move {
    pub(super) index: Option<Tensor>,
    pub(super) rows: Rows,
    pub(super) t: Time,
    pub(super) dt: Time,
}

impl Record {
    pub(super) fn new(step: &Accepted<'_>, shared: bool) -> Self {
        Self {
            rows: step.rows.map(|rows| rows.iter().map(|&row| row as i64).collect()),
            t: step.t.to_vec(),
            dt: step.dt.to_vec(),
            landed: step.landed.to_vec(),
            shared,
        }
    }

    pub(super) fn load(&self, like: &Tensor) -> Result<Move> {
        let time = |values: &[f64]| match values {
            [one] if self.shared => Ok(Time::Shared(*one)),
            each => Time::each(each, like),
        };
        let index = self.rows.as_ref().map(|rows| indices(rows, like)).transpose()?;
        let rows = index.as_ref().map_or_else(Rows::all, |index| Rows::of(index.shallow_clone()));
        Ok(Move { index, rows, t: time(&self.t)?, dt: time(&self.dt)? })
    }

    /// Adds the gradients `[T, B, …]` of the wanted states at the end of this step to `a` `[B, …]`.
    pub(super) fn arrive(&self, a: &Tensor, grads: &Tensor) -> Result<Tensor> {
        let mut a = a.shallow_clone();
        let batch = grads.size()[1];
        let (mut slots, mut rows) = (Vec::new(), Vec::new());
        for (time, row) in &self.landed {
            match row {
                None => a = a.f_add(&grads.f_select(0, *time as i64)?)?,
                Some(row) => {
                    slots.push(*time as i64 * batch + *row as i64);
                    rows.push(*row as i64);
                }
            }
        }
        if slots.is_empty() {
            return Ok(a);
        }
        let flat = grads.f_flatten(0, 1)?.f_index_select(0, &indices(&slots, grads)?)?;
        Ok(a.f_index_add(0, &indices(&rows, grads)?, &flat)?)
    }
}

impl Move {
    pub(super) fn pick(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.index {
            None => x.shallow_clone(),
            Some(index) => x.f_index_select(0, index)?,
        })
    }

    pub(super) fn put(&self, x: &Tensor, part: &Tensor) -> Result<Tensor> {
        Ok(match &self.index {
            None => part.shallow_clone(),
            Some(index) => x.f_index_copy(0, index, part)?,
        })
    }

    pub(super) fn point<'a>(&'a self, problem: &'a Problem, y: &'a Tensor) -> Point<'a> {
        Point { field: &problem.field, rows: &self.rows, t: &self.t, dt: &self.dt, y, slope: None }
    }
}

/// Solves with steps that end at the wanted times, and calls `each` with the index of every accepted
/// step and the state of the whole batch before it.
pub(super) fn record(
    problem: &Problem,
    y0: &Tensor,
    each: &dyn Fn(usize, &Tensor),
) -> Result<(Solution, Vec<Record>)> {
    let records = RefCell::new(Vec::new());
    let state = RefCell::new(y0.shallow_clone());
    let shared = problem.times.is_shared() && !problem.solver.control().is_per_sample();
    let watch = |step: &Accepted<'_>| {
        let record = Record::new(step, shared);
        let mut state = state.borrow_mut();
        each(records.borrow().len(), &state);
        let next = record.load(&state)?.put(&state, &step.ends.after)?;
        *state = next;
        records.borrow_mut().push(record);
        Ok(())
    };
    let plan = Plan { land: true, watch: Some(&watch), ..Plan::default() };
    let solution = problem.solver.run(&problem.field, y0, &problem.times, &plan)?;
    Ok((solution, records.into_inner()))
}

/// The gradients of the wanted states that are the start itself, `[B, …]`.
pub(super) fn at_start(problem: &Problem, grads: &Tensor) -> Result<Tensor> {
    let size = grads.size();
    let (batch, shape) = (size[1], &size[1..]);
    let mut sum = Tensor::f_zeros(shape, (grads.kind(), grads.device()))?;
    let starts = |row: i64| {
        let times = problem.times.of(row as usize);
        times.iter().take_while(|t| **t == times[0]).count() as i64
    };
    if problem.times.is_shared() {
        for i in 0..starts(0) {
            sum = sum.f_add(&grads.f_select(0, i)?)?;
        }
        return Ok(sum);
    }
    let mut slots = Vec::new();
    let mut rows = Vec::new();
    for row in 0..batch {
        for i in 0..starts(row) {
            slots.push(i * batch + row);
            rows.push(row);
        }
    }
    let flat = grads.f_flatten(0, 1)?.f_index_select(0, &indices(&slots, grads)?)?;
    Ok(sum.f_index_add(0, &indices(&rows, grads)?, &flat)?)
}
