//! The solver: a method, a step control, and the loop that brings them together.

use crate::control::{Adaptive, Control};
use crate::drive::Driver;
use crate::event::Event;
use crate::lane::Times;
use crate::solution::Solution;
use crate::stepper::Stepper;
use crate::trial::Ends;
use crate::{Field, Gradient, SharedField, gradient};
use maxlik_tensor::{Error, Result, check};
use tch::Tensor;

/// A method and its step control.
///
/// ```
/// use maxlik_ode::{Adaptive, FromFn, Solver, tableau};
/// use tch::Tensor;
///
/// // Three samples of dy/dt = −y, each with its own steps.
/// let decay = FromFn(|_t: &Tensor, y: &Tensor| Ok(y.f_neg()?));
/// let y0 = Tensor::from_slice(&[1.0_f64, 2.0, 3.0]).view([3, 1]);
/// let times = Tensor::from_slice(&[0.0_f64, 0.5, 1.0]);
/// let solver = Solver::adaptive(tableau::TSIT5, Adaptive::new(1e-8, 1e-10))?;
/// let solution = solver.solve(&decay, &y0, &times)?;
/// assert_eq!(solution.states.size(), [3, 3, 1]);
/// let error = solution.final_states() - &y0 * (-1.0_f64).exp();
/// assert!(error.abs().max().double_value(&[]) < 1e-7);
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Solver {
    pub(crate) stepper: Box<dyn Stepper>,
    pub(crate) control: Control,
}

impl Solver {
    /// A method with a step control.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that cannot be used, or for a method without an error estimate
    /// under adaptive control.
    pub fn new(stepper: impl Into<Box<dyn Stepper>>, control: Control) -> Result<Self> {
        let stepper = stepper.into();
        control.check()?;
        if matches!(control, Control::Adaptive(_)) && stepper.error_power().is_none() {
            let why = "this method has no error estimate: give it fixed steps";
            return Err(Error::config("control", why));
        }
        Ok(Self { stepper, control })
    }

    /// A method with an embedded error estimate, under adaptive control.
    ///
    /// # Errors
    /// As [`Solver::new`].
    pub fn adaptive(stepper: impl Into<Box<dyn Stepper>>, control: Adaptive) -> Result<Self> {
        Self::new(stepper, Control::Adaptive(control))
    }

    /// A method with so many equal steps.
    ///
    /// # Errors
    /// As [`Solver::new`].
    pub fn fixed(stepper: impl Into<Box<dyn Stepper>>, steps: usize) -> Result<Self> {
        Self::new(stepper, Control::Fixed(crate::Grid::Count(steps)))
    }

    /// The method.
    #[must_use]
    pub fn stepper(&self) -> &dyn Stepper {
        self.stepper.as_ref()
    }

    /// The step control.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Solves `dy/dt = f(t, y)` from `y0` `[B, …]` at the first of `times`, forward or backward, and
    /// returns the states at all of them. `times` is `[T]`, or `[B, T]` for samples with times of
    /// their own, and monotone.
    ///
    /// Where gradients are recorded, they flow through all steps ("discretise, then optimise") to
    /// `y0`, the parameters of the field and `times`; step sizes count as constants.
    ///
    /// # Errors
    /// Those of the field, and [`Error::Shape`], [`Error::Kind`] or [`Error::Config`] for times that
    /// do not fit. A sample that cannot be solved is no error: see [`Solution::status`].
    pub fn solve(&self, field: &dyn Field, y0: &Tensor, times: &Tensor) -> Result<Solution> {
        self.solve_until(field, y0, times, &[])
    }

    /// As [`Solver::solve`], looking for events on the way.
    ///
    /// # Errors
    /// As [`Solver::solve`]; [`Error::Config`] for events of samples that step together.
    pub fn solve_until(
        &self,
        field: &dyn Field,
        y0: &Tensor,
        times: &Tensor,
        events: &[Event<'_>],
    ) -> Result<Solution> {
        let parsed = check_start(y0, times)?;
        let y0 = gradient::times::depart(field, y0, times)?;
        let mut solution = self.run(field, &y0, &parsed, &Plan { events, ..Plan::default() })?;
        solution.states = gradient::times::arrive(field, solution.states, times)?;
        Ok(solution)
    }

    /// As [`Solver::solve`], with another way to the gradients.
    ///
    /// `parameters` are the tensors inside the field that gradients are wanted for; gradients by
    /// `y0` and `times` are there in any case. Where no gradient is recorded, this is a plain solve.
    ///
    /// On other devices than the CPU, and where a second derivative is asked for, gradients flow
    /// through recorded steps as in [`Solver::solve`].
    ///
    /// # Errors
    /// As [`Solver::solve`], and [`Error::Config`] for a mode that cannot be used.
    pub fn solve_with(
        &self,
        field: &SharedField,
        parameters: &[Tensor],
        y0: &Tensor,
        times: &Tensor,
        gradient: &Gradient,
    ) -> Result<Solution> {
        let parsed = check_start(y0, times)?;
        let y0 = gradient::times::depart(field, y0, times)?;
        let mut solution = gradient::solve(self, field, parameters, &y0, parsed, gradient)?;
        solution.states = gradient::times::arrive(field, solution.states, times)?;
        Ok(solution)
    }

    pub(crate) fn run(
        &self,
        field: &dyn Field,
        y0: &Tensor,
        times: &Times,
        plan: &Plan<'_>,
    ) -> Result<Solution> {
        Driver::start(self, field, y0, times, plan)?.finish()
    }
}

pub(crate) fn check_start(y0: &Tensor, times: &Tensor) -> Result<Times> {
    check::floating("y0", y0)?;
    match y0.size().first() {
        Some(&batch) => Times::read(times, batch),
        None => Err(Error::shape("y0", "[B, …]", &[])),
    }
}

/// What a solve is for, beside the states.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    pub(crate) events: &'a [Event<'a>],
    /// Whether steps end at the wanted times, instead of interpolating.
    pub(crate) land: bool,
    /// Told of each accepted step.
    pub(crate) watch: Option<&'a Watch<'a>>,
}

/// A look at accepted steps.
pub(crate) type Watch<'a> = dyn Fn(&Accepted<'_>) -> Result<()> + 'a;

/// An accepted step.
pub(crate) struct Accepted<'a> {
    /// The samples that made it; `None` for all.
    pub(crate) rows: Option<&'a [usize]>,
    /// Their times and step sizes: one number for samples that step together.
    pub(crate) t: &'a [f64],
    pub(crate) dt: &'a [f64],
    /// Their states and slopes.
    pub(crate) ends: &'a Ends,
    /// Wanted times that are states after the step: index and sample (`None` for all).
    pub(crate) landed: &'a [(usize, Option<usize>)],
}
