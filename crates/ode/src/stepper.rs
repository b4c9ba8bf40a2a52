//! What a one-step method is: it proposes, and [`crate::Control`] decides.

use crate::stages::Stages;
use crate::{Field, Rows, Time};
use maxlik_tensor::{Result, check};
use std::fmt::Debug;
use tch::Tensor;

/// Where a step starts, and how far it goes.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    /// The right-hand side.
    pub field: &'a dyn Field,
    /// Which rows of the original batch these are.
    pub rows: &'a Rows,
    /// Time at the start.
    pub t: &'a Time,
    /// Signed size of the step.
    pub dt: &'a Time,
    /// State at the start, `[b, …]`.
    pub y: &'a Tensor,
    /// `f(t, y)`, where it is known.
    pub slope: Option<&'a Tensor>,
}

impl Debug for Point<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Point").field("t", self.t).field("dt", self.dt).finish_non_exhaustive()
    }
}

impl Point<'_> {
    /// `f(t + c · dt, y)`.
    ///
    /// # Errors
    /// Those of the field, and [`maxlik_tensor::Error::Shape`] where it returns another shape.
    pub fn rate(&self, c: f64, y: &Tensor) -> Result<Tensor> {
        let slope = self.field.rate(&self.t.offset(c, self.dt)?.rows(y)?, y, self.rows)?;
        check::shape("rate of the field", &slope, &y.size())?;
        check::alike("rate of the field", &slope, y)?;
        Ok(slope)
    }
}

/// A proposed step.
#[derive(Debug)]
pub struct Step {
    /// State at the end, `[b, …]`.
    pub y: Tensor,
    /// Estimate of the local error, of the same shape, without a graph.
    pub error: Option<Tensor>,
    /// `f` at the start, where the method knows it.
    pub start: Option<Tensor>,
    /// `f` at the end, where the method or the dense output knows it.
    pub end: Option<Tensor>,
    /// Evaluations of the field so far, for each row.
    pub evaluations: u64,
    /// Slopes of the stages, for the dense output.
    pub(crate) stages: Stages,
}

/// Where inside a step the solution is wanted.
#[derive(Debug)]
pub enum Query<'a> {
    /// All rows at `t + θ · dt`.
    All(f64),
    /// Row `rows[i]` (of the step's `b` rows, `[p]` integers) at `t + θᵢ · dt`.
    Some {
        /// The rows.
        rows: &'a Tensor,
        /// The places `θ`, from 0 to 1.
        theta: &'a [f64],
    },
}

/// A one-step method.
pub trait Stepper: Debug + Send {
    /// Order of convergence.
    fn order(&self) -> u32;

    /// The power of the step size to which the error estimate is proportional; `None` where there
    /// is no estimate.
    fn error_power(&self) -> Option<u32>;

    /// One step.
    ///
    /// # Errors
    /// Those of the field, and of an iteration inside that fails.
    fn step(&self, point: &Point<'_>) -> Result<Step>;

    /// The slope of the stepper's state `y` at `t + c · dt`.
    ///
    /// # Errors
    /// Those of the field.
    fn slope(&self, point: &Point<'_>, c: f64, y: &Tensor) -> Result<Tensor> {
        point.rate(c, y)
    }

    /// The state at the end of the step alone, for computing a known step again.
    ///
    /// # Errors
    /// As [`Stepper::step`].
    fn propagate(&self, point: &Point<'_>) -> Result<Tensor> {
        Ok(self.step(point)?.y)
    }

    /// The solution inside a step: `[b, …]` or `[p, …]`. Further evaluations of the field for all
    /// rows are counted in `step`, those for the asked rows alone are returned beside the solution.
    ///
    /// The provided method is the cubic through both ends with their slopes.
    ///
    /// # Errors
    /// Those of the field.
    fn between(
        &self,
        point: &Point<'_>,
        step: &mut Step,
        query: &Query<'_>,
    ) -> Result<(Tensor, u64)> {
        crate::dense::hermite(point, step, query).map(|y| (y, 0))
    }

    /// Takes back a step that is no longer needed, for its memory.
    fn recycle(&self, step: Step) {
        drop(step);
    }

    /// The tableau, where the method is an explicit Runge–Kutta method.
    fn tableau(&self) -> Option<&crate::tableau::Tableau> {
        None
    }

    /// A copy of its own.
    fn clone_box(&self) -> Box<dyn Stepper>;
}

impl Clone for Box<dyn Stepper> {
    fn clone(&self) -> Self {
        self.clone_box()
    }
}

impl<S: Stepper + 'static> From<S> for Box<dyn Stepper> {
    fn from(stepper: S) -> Self {
        Box::new(stepper)
    }
}
