//! The continuous adjoint along the interpolated forward solution.

use super::adjoint::{PartTime, Parts, arrange, pull_back};
use super::{Mode, Problem, accumulate, backward_solver};
use crate::dense::cubic;
use crate::solution::Solution;
use crate::solve::{Accepted, Plan};
use crate::time::indices;
use crate::{Field, FromFn, Rows, Solver, Time};
use maxlik_tensor::{Error, Result, host};
use std::cell::RefCell;
use tch::Tensor;

#[derive(Debug)]
pub(super) struct Interpolated {
    pub(super) solver: Option<Solver>,
}

/// The steps of one sample, or of all that step together: start, size, and position among the
/// stored states.
type Path = Vec<(f64, f64, i64)>;

/// The forward solution as cubics.
#[derive(Debug)]
pub(super) struct Track {
    paths: Vec<Path>,
    before: Tensor,
    after: Tensor,
    start: Tensor,
    end: Tensor,
    shared: bool,
}

impl Mode for Interpolated {
    type Tape = Option<Track>;

    fn forward(&self, problem: &Problem, y0: &Tensor) -> Result<(Solution, Option<Track>)> {
        let batch = y0.size()[0] as usize;
        let shared = problem.times.is_shared() && !problem.solver.control().is_per_sample();
        let paths = RefCell::new(vec![Path::new(); if shared { 1 } else { batch }]);
        let pieces = RefCell::new([const { Vec::<Tensor>::new() }; 4]);
        let stored = RefCell::new(0_i64);
        let watch = |step: &Accepted<'_>| {
            let ends = step.ends;
            let (start, end) = slopes(problem, step, shared)?;
            let pieces = &mut *pieces.borrow_mut();
            for (list, x) in pieces.iter_mut().zip([&ends.before, &ends.after, &start, &end]) {
                list.push(x.shallow_clone());
            }
            let mut at = stored.borrow_mut();
            let mut paths = paths.borrow_mut();
            if shared {
                paths[0].push((step.t[0], step.dt[0], *at));
                *at += 1;
            } else {
                for (i, (&t, &dt)) in step.t.iter().zip(step.dt).enumerate() {
                    let row = step.rows.map_or(i, |rows| rows[i]);
                    paths[row].push((t, dt, *at));
                    *at += 1;
                }
            }
            Ok(())
        };
        let plan = Plan { watch: Some(&watch), ..Plan::default() };
        let solution = problem.solver.run(&problem.field, y0, &problem.times, &plan)?;
        let join = |list: &Vec<Tensor>| {
            if shared { Tensor::f_stack(list, 0) } else { Tensor::f_cat(list, 0) }
        };
        let pieces = pieces.into_inner();
        if pieces[0].is_empty() {
            return Ok((solution, None));
        }
        let [before, after, start, end] = &pieces;
        let track = Track {
            paths: paths.into_inner(),
            before: join(before)?,
            after: join(after)?,
            start: join(start)?,
            end: join(end)?,
            shared,
        };
        Ok((solution, Some(track)))
    }

    fn backward(
        &self,
        problem: &Problem,
        inputs: &[Tensor],
        states: &Tensor,
        grads: &Tensor,
        tape: &Option<Track>,
    ) -> Result<Vec<Option<Tensor>>> {
        let parts = Parts::new(problem, states);
        let parameters: Vec<&Tensor> = inputs[1..].iter().filter(|p| p.requires_grad()).collect();
        let mut a = grads.f_select(0, parts.count as i64)?;
        let mut sums: Vec<Option<Tensor>> = parameters.iter().map(|_| None).collect();
        for part in (0..parts.count).rev() {
            if let (Some(track), true) = (tape, parts.longest(part) > 0.0) {
                // The integrals of the parameters' gradients do not act back on anything.
                let seminorm = Some(a.numel() as i64);
                let longest = parts.longest(part);
                let solver =
                    backward_solver(&self.solver, &problem.solver, longest, parts.count, seminorm)?;
                let time = parts.time(part, &a)?;
                let path = Stretch { track, time: &time, field: &problem.field };
                let (cotangent, found) = path.solve_back(&solver, &a, &parameters)?;
                a = cotangent;
                accumulate(&mut sums, found)?;
            }
            a = a.f_add(&grads.f_select(0, part as i64)?)?;
        }
        Ok(arrange(a, inputs, sums))
    }

    fn compose(&self, problem: &Problem, y0: &Tensor) -> Result<Solution> {
        problem.run(y0, false)
    }
}

/// The slopes at both ends of a step, evaluated where the method did not.
fn slopes(problem: &Problem, step: &Accepted<'_>, shared: bool) -> Result<(Tensor, Tensor)> {
    let ends = step.ends;
    let rows = match step.rows {
        None => Rows::all(),
        Some(rows) => {
            let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
            Rows::of(indices(&rows, &ends.before)?)
        }
    };
    let rate = |of: &dyn Fn(usize) -> f64, y: &Tensor| {
        let values: Vec<f64> = (0..step.t.len()).map(of).collect();
        let t = match values.as_slice() {
            [t] if shared => Time::Shared(*t),
            each => Time::each(each, y)?,
        };
        problem.field.rate(&t.rows(y)?, y, &rows)
    };
    let start = match &ends.start {
        Some(slope) => slope.shallow_clone(),
        None => rate(&|i| step.t[i], &ends.before)?,
    };
    let end = match &ends.end {
        Some(slope) => slope.shallow_clone(),
        None => rate(&|i| step.t[i] + step.dt[i], &ends.after)?,
    };
    Ok((start, end))
}

/// A part of the time along a track.
struct Stretch<'a> {
    track: &'a Track,
    time: &'a PartTime,
    field: &'a dyn Field,
}

impl Stretch<'_> {
    /// Solves `(a, g)` from `s = 1` to 0.
    fn solve_back(
        &self,
        solver: &Solver,
        a: &Tensor,
        parameters: &[&Tensor],
    ) -> Result<(Tensor, Vec<Option<Tensor>>)> {
        let numbers = a.numel() as i64;
        let count: i64 = parameters.iter().map(|p| p.numel() as i64).sum();
        let zeros = Tensor::f_zeros([count], (a.kind(), a.device()))?;
        let start = Tensor::f_cat(&[a.f_reshape([-1])?, zeros], 0)?;
        let rate = FromFn(|s: &Tensor, state: &Tensor| {
            let s = host::scalar(s)?;
            let a = state.f_select(0, 0)?.f_narrow(0, 0, numbers)?.f_view(a.size().as_slice())?;
            let y = self.track.at(self.time, s)?;
            let found = pull_back(self.field, self.time, s, &y, &a, parameters)?;
            let flat = found[1..]
                .iter()
                .map(|x| x.f_reshape([-1]))
                .collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(Tensor::f_cat(&flat, 0)?.f_unsqueeze(0)?)
        });
        let times = Tensor::f_from_slice(&[1.0, 0.0])?;
        let solution = solver.solve(&rate, &start.f_unsqueeze(0)?, &times)?;
        solution.ensure_success()?;
        let end = solution.last.f_select(0, 0)?;
        let cotangent = end.f_narrow(0, 0, numbers)?.f_view(a.size().as_slice())?;
        let mut offset = numbers;
        let mut gradients = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            let length = parameter.numel() as i64;
            let part = end.f_narrow(0, offset, length)?.f_view(parameter.size().as_slice())?;
            gradients.push(Some(part.f_to_kind(parameter.kind())?));
            offset += length;
        }
        Ok((cotangent, gradients))
    }
}

impl Track {
    /// The states of all samples at `t = begin + s · span`.
    fn at(&self, time: &PartTime, s: f64) -> Result<Tensor> {
        let times = host::to_vec(&time.span.f_mul_scalar(s)?.f_add(&time.begin)?)?;
        let find = |path: &Path, t: f64| {
            let ahead = |&(begin, dt, _): &(f64, f64, i64)| (begin - t) * dt <= 0.0;
            let step = path.partition_point(ahead).saturating_sub(1);
            path.get(step).copied()
        };
        if self.shared {
            let (Some(&t), Some((begin, dt, at))) = (times.first(), find(&self.paths[0], times[0]))
            else {
                return Err(Error::unsupported("a solution without steps"));
            };
            let pick = |x: &Tensor| x.f_select(0, at);
            let slopes = [pick(&self.start)?, pick(&self.end)?];
            let theta = [(t - begin) / dt];
            return cubic(
                &pick(&self.before)?,
                &pick(&self.after)?,
                &slopes,
                &Time::Shared(dt),
                &theta,
            );
        }
        let mut steps = Vec::with_capacity(times.len());
        for (path, &t) in self.paths.iter().zip(&times) {
            // A sample that made no step stays where it is: any step of size zero will do.
            let (begin, dt, at) = find(path, t).unwrap_or((t, 1.0, 0));
            steps.push(((t - begin) / dt, dt, at));
        }
        let index: Vec<i64> = steps.iter().map(|s| s.2).collect();
        let index = indices(&index, &self.before)?;
        let pick = |x: &Tensor| x.f_index_select(0, &index);
        let dt: Vec<f64> = steps.iter().map(|s| s.1).collect();
        let theta: Vec<f64> = steps.iter().map(|s| s.0).collect();
        let slopes = [pick(&self.start)?, pick(&self.end)?];
        let dt = Time::each(&dt, &self.before)?;
        cubic(&pick(&self.before)?, &pick(&self.after)?, &slopes, &dt, &theta)
    }
}
