//! The loop of a solve: propose, try, judge, keep what was asked for, drop samples that are done.

use crate::collect::Collector;
use crate::control::{Adaptive, Control};
use crate::event;
use crate::lane::{Lane, Times};
use crate::solution::{Occurrence, Solution, Status};
use crate::solve::{Accepted, Plan, Solver};
use crate::stepper::Step;
use crate::time::indices;
use crate::trial::{At, Movers, Trial};
use crate::{Field, Rows, Time, initial};
use maxlik_tensor::{Error, Result, host};
use tch::Tensor;

pub(crate) struct Driver<'a> {
    pub(crate) solver: &'a Solver,
    pub(crate) field: &'a dyn Field,
    times: &'a Times,
    pub(crate) plan: &'a Plan<'a>,
    y0: Tensor,
    batch: usize,
    /// Whether one lane drives all samples.
    shared: bool,
    pub(crate) lanes: Vec<Lane>,
    /// Lanes that are still running, in the order of the rows of `y` (or the one lane of all rows).
    pub(crate) ids: Vec<usize>,
    rows: Rows,
    y: Tensor,
    slope: Option<Tensor>,
    states: Collector,
    last: Collector,
    steps: u64,
    events: Vec<Occurrence>,
    /// Values of the event functions at the current states, by event and row.
    pub(crate) levels: Vec<Vec<f64>>,
}

impl<'a> Driver<'a> {
    pub(crate) fn start(
        solver: &'a Solver,
        field: &'a dyn Field,
        y0: &Tensor,
        times: &'a Times,
        plan: &'a Plan<'a>,
    ) -> Result<Self> {
        let batch = usize::try_from(y0.size()[0]).unwrap_or(0);
        let per_sample = solver.control.is_per_sample();
        let joint = !per_sample && matches!(solver.control, Control::Adaptive(_));
        let shared = !per_sample && times.is_shared() && plan.events.is_empty();
        if joint && !times.is_shared() {
            let why = "samples with times of their own need step sizes of their own";
            return Err(Error::config("batching", why));
        }
        if !plan.events.is_empty() && joint && batch > 1 {
            let why = "events end samples one by one: give each its own step size";
            return Err(Error::config("batching", why));
        }
        let count = if shared { batch.min(1) } else { batch };
        let lanes: Vec<Lane> = (0..count).map(|lane| Lane::new(times.of(lane))).collect();
        let mut driver = Self {
            solver,
            field,
            times,
            plan,
            y0: y0.shallow_clone(),
            batch,
            shared,
            ids: (0..count).collect(),
            lanes,
            rows: Rows::all(),
            y: y0.shallow_clone(),
            slope: None,
            states: Collector::new(times.count(), batch),
            last: Collector::new(1, batch),
            steps: 0,
            events: Vec::new(),
            levels: Vec::new(),
        };
        driver.begin()?;
        Ok(driver)
    }

    /// The wanted times that are the start, and the first step sizes.
    fn begin(&mut self) -> Result<()> {
        if self.batch == 0 {
            return Ok(());
        }
        let starts: Vec<(usize, usize)> = (0..self.batch)
            .flat_map(|row| {
                (0..self.lanes[if self.shared { 0 } else { row }].next).map(move |i| (i, row))
            })
            .collect();
        let rows: Vec<i64> = starts.iter().map(|(_, row)| *row as i64).collect();
        let in_order = rows.iter().copied().eq(0..self.batch as i64);
        let y = if in_order {
            self.y.shallow_clone()
        } else {
            self.y.f_index_select(0, &indices(&rows, &self.y)?)?
        };
        self.states.put(starts, y);
        self.drop_finished()?;
        if let Control::Adaptive(adaptive) = &self.solver.control
            && !self.ids.is_empty()
        {
            self.first_steps(adaptive)?;
        }
        self.levels = event::levels(self.plan.events, &self.now()?, &self.y)?;
        Ok(())
    }

    fn first_steps(&mut self, adaptive: &Adaptive) -> Result<()> {
        if let Some(first) = adaptive.first_step {
            self.ids.iter().for_each(|&id| self.lanes[id].wanted = first);
            return Ok(());
        }
        let now = self.now()?;
        let at = At {
            t: now,
            dt: self.steps_of(|lane| lane.sign())?,
            rows: self.rows.clone(),
            y: self.y.shallow_clone(),
            slope: None,
        };
        let first = initial::estimate(self.solver.stepper(), &at.point(self.field), adaptive)?;
        for (position, &id) in self.ids.iter().enumerate() {
            let lane = &mut self.lanes[id];
            lane.wanted = first.sizes[position].min(lane.span());
            lane.counts.evaluations += 2;
        }
        self.slope = Some(first.slope);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Solution> {
        while !self.ids.is_empty() {
            self.step()?;
        }
        let lane = |row: usize| &self.lanes[if self.shared { 0 } else { row }];
        let mut status: Vec<Status> =
            (0..self.batch).map(|row| lane(row).status.unwrap_or(Status::Success)).collect();
        let reached = (0..self.batch).map(|row| lane(row).t).collect();
        let counts = (0..self.batch).map(|row| lane(row).counts).collect();
        let last = self.last.finish(&self.y0)?.f_select(0, 0)?;
        if matches!(self.solver.control, Control::Fixed(_)) && self.batch > 0 {
            let finite = last.f_detach()?.f_isfinite()?.f_reshape([self.batch as i64, -1])?;
            let finite = host::to_vec(&finite.f_all_dim(1, false)?)?;
            for (status, finite) in status.iter_mut().zip(finite) {
                if finite == 0.0 {
                    *status = Status::NonFinite;
                }
            }
        }
        let states = self.states.finish(&self.y0)?;
        let (steps, events) = (self.steps, self.events);
        Ok(Solution { states, last, reached, status, counts, steps, events })
    }

    fn now(&self) -> Result<Time> {
        self.steps_of(|lane| lane.t)
    }

    fn steps_of(&self, of: impl Fn(&Lane) -> f64) -> Result<Time> {
        match self.ids.as_slice() {
            [id] if self.shared => Ok(Time::Shared(of(&self.lanes[*id]))),
            ids => {
                let values: Vec<f64> = ids.iter().map(|&id| of(&self.lanes[id])).collect();
                Time::each(&values, &self.y)
            }
        }
    }

    fn step(&mut self) -> Result<()> {
        let kind = self.y.kind();
        for &id in &self.ids {
            let lane = &mut self.lanes[id];
            let land: &[f64] = if self.plan.land { &self.times.of(id)[lane.next..] } else { &[] };
            lane.propose(&self.solver.control, land, kind);
        }
        let at = At {
            t: self.now()?,
            dt: self.steps_of(Lane::dt)?,
            rows: self.rows.clone(),
            y: self.y.shallow_clone(),
            slope: self.slope.take(),
        };
        let mut trial = Trial::attempt(self.solver, self.field, at)?;
        self.steps += 1;
        let accepted = self.judge(&trial.step, &trial.at.y)?;
        let evaluations = trial.step.evaluations;
        self.ids.iter().for_each(|&id| self.lanes[id].counts.evaluations += evaluations);
        if accepted.is_empty() {
            self.slope = trial.step.start.take();
            self.solver.stepper.recycle(trial.step);
            return self.drop_finished();
        }
        let partial = accepted.len() < self.ids.len();
        // A rejected step with a graph is not kept as a masked part: its gradients may be NaN.
        if partial && trial.step.y.requires_grad() {
            let before = trial.step.start.take();
            trial = trial.again(self.solver, self.field, &accepted)?;
            let again = trial.step.evaluations;
            accepted.iter().for_each(|&p| self.lanes[self.ids[p]].counts.evaluations += again);
            self.slope = before;
        }
        self.keep(&mut trial, &accepted)?;
        self.update(trial, &accepted, partial)?;
        self.drop_finished()
    }

    /// Positions of the rows whose step is accepted.
    fn judge(&mut self, step: &Step, y: &Tensor) -> Result<Vec<usize>> {
        let all = (0..self.ids.len()).collect();
        let Control::Adaptive(adaptive) = &self.solver.control else { return Ok(all) };
        let power = self.solver.stepper.error_power().unwrap_or(1);
        let Some(error) = &step.error else { return Ok(all) };
        let norms = {
            let _no_grad = tch::no_grad_guard();
            let magnitude = y.f_abs()?.f_maximum(&step.y.f_abs()?)?;
            host::to_vec(&adaptive.norm(error, &adaptive.scale(&magnitude)?)?)?
        };
        let mut accepted = Vec::with_capacity(self.ids.len());
        for (position, (&id, norm)) in self.ids.iter().zip(norms).enumerate() {
            if self.lanes[id].judge(norm, adaptive, power) {
                accepted.push(position);
            }
        }
        Ok(accepted)
    }

    /// Events, wanted times and the watcher of an accepted step.
    fn keep(&mut self, trial: &mut Trial, accepted: &[usize]) -> Result<()> {
        let already = trial.step.evaluations;
        let ids: Vec<usize> = accepted.iter().map(|&p| self.ids[p]).collect();
        if !self.plan.events.is_empty() {
            let found = event::find(self, trial, accepted)?;
            for hit in found {
                self.events.extend(hit.occurrences);
                if let Some((position, event, state)) = hit.terminal {
                    let lane = &mut self.lanes[self.ids[position]];
                    (lane.target, lane.status) = (hit.time, Some(Status::Event(event)));
                    trial.replaced.push((trial.row_of(position), state));
                }
            }
        }
        let landed = trial.emit(
            (self.solver, self.field, self.times),
            &mut self.lanes,
            &Movers { ids: &ids, positions: accepted, shared: self.shared },
            &mut self.states,
        )?;
        let late = trial.step.evaluations - already;
        ids.iter().for_each(|&id| self.lanes[id].counts.evaluations += late);
        if let Some(watch) = self.plan.watch {
            let of =
                |f: fn(&Lane) -> f64| ids.iter().map(|&id| f(&self.lanes[id])).collect::<Vec<_>>();
            let everyone = self.shared || ids.len() == self.batch;
            watch(&Accepted {
                rows: if everyone { None } else { Some(&ids) },
                t: &of(|lane| lane.t),
                dt: &of(Lane::dt),
                ends: &trial.ends(accepted)?,
                landed: &landed,
            })?;
        }
        Ok(())
    }

    /// The states and slopes that the next step starts from.
    fn update(&mut self, mut trial: Trial, accepted: &[usize], partial: bool) -> Result<()> {
        let (after, end) = (trial.final_states()?, trial.step.end.take());
        if !partial {
            self.y = after;
            self.slope = end;
        } else if trial.rows.is_some() {
            let index: Vec<i64> = accepted.iter().map(|&p| p as i64).collect();
            let index = indices(&index, &self.y)?;
            self.y = self.y.f_index_copy(0, &index, &after)?;
            self.slope = match (self.slope.take(), end) {
                (Some(start), Some(end)) => Some(start.f_index_copy(0, &index, &end)?),
                _ => None,
            };
        } else {
            let mut mask = vec![0.0; self.ids.len()];
            accepted.iter().for_each(|&p| mask[p] = 1.0);
            let mask = Tensor::f_from_slice(&mask)?.f_to_device(self.y.device())?.f_ne(0.0)?;
            let mut shape = vec![1; self.y.dim()];
            shape[0] = -1;
            let mask = mask.f_view(shape.as_slice())?;
            self.y = after.f_where_self(&mask, &self.y)?;
            self.slope = match (trial.step.start.take(), end) {
                (Some(start), Some(end)) => Some(end.f_where_self(&mask, &start)?),
                _ => None,
            };
        }
        let kind = self.y.kind();
        let mut stale = false;
        for &p in accepted {
            let lane = &mut self.lanes[self.ids[p]];
            let event = matches!(lane.status, Some(Status::Event(_))).then_some(lane.status);
            stale |= lane.advance(kind);
            lane.status = event.flatten().or(lane.status);
        }
        if stale {
            self.slope = None;
        }
        self.solver.stepper.recycle(trial.step);
        Ok(())
    }

    /// Drops the rows whose lanes have ended, keeping their last states.
    fn drop_finished(&mut self) -> Result<()> {
        let running = |&p: &usize| self.lanes[self.ids[p]].status.is_none();
        let kept: Vec<usize> = (0..self.ids.len()).filter(running).collect();
        if kept.len() == self.ids.len() {
            return Ok(());
        }
        if self.shared {
            self.last.put_all(0, self.y.shallow_clone());
            self.ids.clear();
            return Ok(());
        }
        let done: Vec<usize> = (0..self.ids.len()).filter(|p| !running(p)).collect();
        let index = |positions: &[usize]| {
            indices(&positions.iter().map(|&p| p as i64).collect::<Vec<_>>(), &self.y)
        };
        self.last.put(
            done.iter().map(|&p| (0, self.ids[p])).collect::<Vec<_>>(),
            self.y.f_index_select(0, &index(&done)?)?,
        );
        let chosen = index(&kept)?;
        self.y = self.y.f_index_select(0, &chosen)?;
        self.slope = self.slope.as_ref().map(|k| k.f_index_select(0, &chosen)).transpose()?;
        for levels in &mut self.levels {
            *levels = kept.iter().map(|&p| levels[p]).collect();
        }
        self.ids = kept.iter().map(|&p| self.ids[p]).collect();
        let originals: Vec<i64> = self.ids.iter().map(|&id| id as i64).collect();
        self.rows = Rows::of(indices(&originals, &self.y)?);
        Ok(())
    }
}
