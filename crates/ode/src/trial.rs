//! A step that is being tried, and what is read out of it.

use crate::collect::Collector;
use crate::lane::{Lane, Times};
use crate::solve::Solver;
use crate::stepper::{Point, Query, Step};
use crate::time::indices;
use crate::{Field, Rows, Time};
use maxlik_tensor::Result;
use tch::Tensor;

/// Where a step starts, owning what a [`Point`] borrows.
pub(crate) struct At {
    pub(crate) t: Time,
    pub(crate) dt: Time,
    pub(crate) rows: Rows,
    pub(crate) y: Tensor,
    pub(crate) slope: Option<Tensor>,
}

impl At {
    pub(crate) fn point<'a>(&'a self, field: &'a dyn Field) -> Point<'a> {
        Point {
            field,
            rows: &self.rows,
            t: &self.t,
            dt: &self.dt,
            y: &self.y,
            slope: self.slope.as_ref(),
        }
    }
}

pub(crate) struct Trial {
    pub(crate) at: At,
    pub(crate) step: Step,
    /// Where the step was made again for some rows only: their positions among the running ones.
    pub(crate) rows: Option<Vec<usize>>,
    /// Rows of the step whose state is another one, since a terminal event came first.
    pub(crate) replaced: Vec<(usize, Tensor)>,
}

/// States before and after a step, with the slopes that are known.
pub(crate) struct Ends {
    pub(crate) before: Tensor,
    pub(crate) after: Tensor,
    pub(crate) start: Option<Tensor>,
    pub(crate) end: Option<Tensor>,
}

/// The lanes that made a step: their ids, and their positions among the running ones.
pub(crate) struct Movers<'a> {
    pub(crate) ids: &'a [usize],
    pub(crate) positions: &'a [usize],
    /// Whether the one lane stands for all rows.
    pub(crate) shared: bool,
}

impl Trial {
    pub(crate) fn attempt(solver: &Solver, field: &dyn Field, at: At) -> Result<Self> {
        let step = solver.stepper.step(&at.point(field))?;
        Ok(Self { at, step, rows: None, replaced: Vec::new() })
    }

    /// The same step with some of the rows only.
    pub(crate) fn again(self, solver: &Solver, field: &dyn Field, rows: &[usize]) -> Result<Self> {
        let positions: Vec<i64> = rows.iter().map(|&p| p as i64).collect();
        let index = indices(&positions, &self.at.y)?;
        let originals = match self.at.rows.index() {
            Some(originals) => originals.f_index_select(0, &index)?,
            None => index.shallow_clone(),
        };
        let at = At {
            t: self.at.t.select(&index)?,
            dt: self.at.dt.select(&index)?,
            rows: Rows::of(originals),
            y: self.at.y.f_index_select(0, &index)?,
            slope: self.at.slope.as_ref().map(|k| k.f_index_select(0, &index)).transpose()?,
        };
        let mut trial = Self::attempt(solver, field, at)?;
        trial.rows = Some(rows.to_vec());
        Ok(trial)
    }

    /// The row of the step's tensors that belongs to a position among the running lanes.
    pub(crate) fn row_of(&self, position: usize) -> usize {
        match &self.rows {
            Some(rows) => rows.iter().position(|&p| p == position).unwrap_or(0),
            None => position,
        }
    }

    /// What the accepted rows went through.
    pub(crate) fn ends(&self, accepted: &[usize]) -> Result<Ends> {
        let (y, step) = (&self.at.y, &self.step);
        let all = self.rows.is_some()
            || accepted.len() as i64 == y.size()[0]
            || matches!(self.at.t, Time::Shared(_));
        let index = if all {
            None
        } else {
            Some(indices(&accepted.iter().map(|&p| p as i64).collect::<Vec<_>>(), y)?)
        };
        let pick = |x: &Tensor| -> Result<Tensor> {
            Ok(match &index {
                None => x.shallow_clone(),
                Some(index) => x.f_index_select(0, index)?,
            })
        };
        Ok(Ends {
            before: pick(y)?,
            after: pick(&step.y)?,
            start: step.start.as_ref().map(pick).transpose()?,
            end: step.end.as_ref().map(pick).transpose()?,
        })
    }

    /// States after the step, with those of terminal events put in.
    pub(crate) fn final_states(&self) -> Result<Tensor> {
        let mut y = self.step.y.shallow_clone();
        for (row, state) in &self.replaced {
            let index = indices(&[*row as i64], &y)?;
            y = y.f_index_copy(0, &index, &state.f_unsqueeze(0)?)?;
        }
        Ok(y)
    }

    /// Puts the states at wanted times inside this step where they belong, and returns those that
    /// are its end: index of the time, and sample (`None` for all).
    pub(crate) fn emit(
        &mut self,
        driver: (&Solver, &dyn Field, &Times),
        lanes: &mut [Lane],
        movers: &Movers<'_>,
        states: &mut Collector,
    ) -> Result<Vec<(usize, Option<usize>)>> {
        let (solver, field, times) = driver;
        if movers.shared {
            return self.emit_shared(solver, field, times.of(0), &mut lanes[0], states);
        }
        let (mut ends, mut inside, mut theta) = (Vec::new(), Vec::new(), Vec::new());
        for (&id, &position) in movers.ids.iter().zip(movers.positions) {
            let (row, lane, times) = (self.row_of(position), &mut lanes[id], times.of(id));
            for i in lane.passed(times, lane.target) {
                if times[i] == lane.target && self.replaced.iter().all(|(r, _)| *r != row) {
                    ends.push((i, id, row));
                } else {
                    inside.push((i, id, row));
                    theta.push((times[i] - lane.t) / self.full_step(row, lane)?);
                }
            }
        }
        let index = |slots: &[(usize, usize, usize)]| {
            indices(&slots.iter().map(|s| s.2 as i64).collect::<Vec<_>>(), &self.at.y)
        };
        let slots =
            |slots: &[(usize, usize, usize)]| slots.iter().map(|s| (s.0, s.1)).collect::<Vec<_>>();
        if !ends.is_empty() {
            states.put(slots(&ends), self.step.y.f_index_select(0, &index(&ends)?)?);
        }
        if !inside.is_empty() {
            let rows = index(&inside)?;
            let query = Query::Some { rows: &rows, theta: &theta };
            let (y, evaluations) =
                solver.stepper.between(&self.at.point(field), &mut self.step, &query)?;
            inside.iter().for_each(|s| lanes[s.1].counts.evaluations += evaluations);
            states.put(slots(&inside), y);
        }
        Ok(ends.iter().map(|s| (s.0, Some(s.1))).collect())
    }

    /// The size of the step that was made, which a terminal event may have cut short since.
    fn full_step(&self, row: usize, lane: &Lane) -> Result<f64> {
        match &self.at.dt {
            Time::Each(dt) if !self.replaced.is_empty() => Ok(dt.f_double_value(&[row as i64])?),
            _ => Ok(lane.dt()),
        }
    }

    fn emit_shared(
        &mut self,
        solver: &Solver,
        field: &dyn Field,
        times: &[f64],
        lane: &mut Lane,
        states: &mut Collector,
    ) -> Result<Vec<(usize, Option<usize>)>> {
        let mut landed = Vec::new();
        for i in lane.passed(times, lane.target) {
            if times[i] == lane.target {
                states.put_all(i, self.step.y.shallow_clone());
                landed.push((i, None));
                continue;
            }
            let query = Query::All((times[i] - lane.t) / lane.dt());
            let (y, evaluations) =
                solver.stepper.between(&self.at.point(field), &mut self.step, &query)?;
            lane.counts.evaluations += evaluations;
            states.put_all(i, y);
        }
        Ok(landed)
    }
}
