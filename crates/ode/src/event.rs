//! Events: zeros of a function of time and state, found inside a step.

use crate::drive::Driver;
use crate::solution::Occurrence;
use crate::stepper::Query;
use crate::time::{column, indices, numbers};
use crate::trial::Trial;
use crate::{Rows, Time};
use maxlik_tensor::autograd::{Graph, gradient, leaf, recorded};
use maxlik_tensor::{Result, check, host};
use std::fmt;
use tch::{Kind, Tensor};

/// `g(t [b], y [b, …]) → [b]`.
pub type EventFunction<'a> = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + 'a;

/// Which changes of sign count, seen along the solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Crossing {
    /// All.
    #[default]
    Any,
    /// From below zero to above.
    Rising,
    /// From above zero to below.
    Falling,
}

/// An event happens where `g(t, y)` goes through zero.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// The function `g`.
    pub function: &'a EventFunction<'a>,
    /// Which changes of sign count.
    pub crossing: Crossing,
    /// Whether the sample ends there.
    pub terminal: bool,
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("crossing", &self.crossing)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

impl Event<'_> {
    fn value(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let value = (self.function)(t, y)?;
        check::shape("value of the event function", &value, &y.size()[..1])?;
        Ok(value)
    }

    fn happens(&self, before: f64, after: f64) -> bool {
        let rising = before < 0.0 && after >= 0.0;
        let falling = before > 0.0 && after <= 0.0;
        match self.crossing {
            Crossing::Any => rising || falling,
            Crossing::Rising => rising,
            Crossing::Falling => falling,
        }
    }
}

/// Values of all event functions, by event and row.
pub(crate) fn levels(events: &[Event<'_>], t: &Time, y: &Tensor) -> Result<Vec<Vec<f64>>> {
    if events.is_empty() || y.size()[0] == 0 {
        return Ok(vec![Vec::new(); events.len()]);
    }
    let _no_grad = tch::no_grad_guard();
    let t = t.rows(y)?;
    events.iter().map(|event| host::to_vec(&event.value(&t, y)?)).collect()
}

/// What one sample met inside a step.
pub(crate) struct Hit {
    pub(crate) occurrences: Vec<Occurrence>,
    /// Position, event and state, where the sample ends.
    pub(crate) terminal: Option<(usize, usize, Tensor)>,
    /// Time of the terminal event.
    pub(crate) time: f64,
}

/// A root that was found.
struct Root {
    event: usize,
    position: usize,
    theta: f64,
}

/// Looks for events in an accepted step; keeps the functions' new values.
pub(crate) fn find(
    driver: &mut Driver<'_>,
    trial: &mut Trial,
    accepted: &[usize],
) -> Result<Vec<Hit>> {
    let events = driver.plan.events;
    let after = levels(events, &trial.at.t.offset(1.0, &trial.at.dt)?, &trial.step.y)?;
    let mut roots = Vec::new();
    for (e, event) in events.iter().enumerate() {
        let mut brackets = Vec::new();
        for &position in accepted {
            let (old, new) = (driver.levels[e][position], after[e][trial.row_of(position)]);
            if event.happens(old, new) {
                brackets.push(Bracket::new(position, trial.row_of(position), old, new));
            }
            driver.levels[e][position] = new;
        }
        if brackets.is_empty() {
            continue;
        }
        narrow(driver, trial, event, &mut brackets)?;
        roots.extend(brackets.iter().map(|b| Root {
            event: e,
            position: b.position,
            theta: b.best(),
        }));
    }
    roots.sort_by(|a, b| a.position.cmp(&b.position).then(a.theta.total_cmp(&b.theta)));
    let mut hits = Vec::new();
    for of_one in roots.chunk_by(|a, b| a.position == b.position) {
        let mut hit = Hit { occurrences: Vec::new(), terminal: None, time: 0.0 };
        for root in of_one {
            let (occurrence, time) = describe(driver, trial, root)?;
            if events[root.event].terminal {
                hit.terminal = Some((root.position, root.event, occurrence.state.shallow_clone()));
                hit.time = time;
            }
            hit.occurrences.push(occurrence);
            if hit.terminal.is_some() {
                break;
            }
        }
        hits.push(hit);
    }
    Ok(hits)
}

/// An interval of `θ` over which a function changes its sign.
struct Bracket {
    position: usize,
    row: usize,
    low: (f64, f64),
    high: (f64, f64),
    side: i8,
}

impl Bracket {
    fn new(position: usize, row: usize, before: f64, after: f64) -> Self {
        Self { position, row, low: (0.0, before), high: (1.0, after), side: 0 }
    }

    fn best(&self) -> f64 {
        if self.low.1.abs() < self.high.1.abs() { self.low.0 } else { self.high.0 }
    }

    fn width(&self) -> f64 {
        if self.high.1 == 0.0 { 0.0 } else { self.high.0 - self.low.0 }
    }

    /// The next place of the Illinois method, inside the bracket.
    fn guess(&self) -> f64 {
        let ((a, fa), (b, fb)) = (self.low, self.high);
        let secant = b - fb * (b - a) / (fb - fa);
        if secant > a && secant < b { secant } else { 0.5 * (a + b) }
    }

    fn shrink(&mut self, theta: f64, value: f64) {
        if (value > 0.0) == (self.low.1 > 0.0) && value != 0.0 {
            self.low = (theta, value);
            if self.side < 0 {
                self.high.1 *= 0.5;
            }
            self.side = -1;
        } else {
            self.high = (theta, value);
            if self.side > 0 {
                self.low.1 *= 0.5;
            }
            self.side = 1;
        }
    }
}

/// Narrows all brackets at once to the resolution of the dtype (Dowell and Jarratt 1971, "A modified
/// regula falsi method for computing the root of an equation").
fn narrow(
    driver: &Driver<'_>,
    trial: &mut Trial,
    event: &Event<'_>,
    brackets: &mut [Bracket],
) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let resolution = if trial.at.y.kind() == Kind::Double { 1e-14 } else { 1e-6 };
    for _ in 0..60 {
        if brackets.iter().all(|b| b.width() <= resolution) {
            break;
        }
        let theta: Vec<f64> = brackets.iter().map(Bracket::guess).collect();
        let rows: Vec<i64> = brackets.iter().map(|b| b.row as i64).collect();
        let (t, y) = look(driver, trial, &rows, &theta)?;
        let values = host::to_vec(&event.value(&t, &y)?)?;
        for (bracket, (theta, value)) in brackets.iter_mut().zip(theta.into_iter().zip(values)) {
            if bracket.width() > resolution {
                bracket.shrink(theta, value);
            }
        }
    }
    Ok(())
}

/// Times and states at places inside the step.
fn look(
    driver: &Driver<'_>,
    trial: &mut Trial,
    rows: &[i64],
    theta: &[f64],
) -> Result<(Tensor, Tensor)> {
    let index = indices(rows, &trial.at.y)?;
    let query = Query::Some { rows: &index, theta };
    let point = trial.at.point(driver.field);
    let (y, _) = driver.solver.stepper.between(&point, &mut trial.step, &query)?;
    let part = Tensor::f_from_slice(theta)?.f_to_device(y.device())?;
    let dt = match trial.at.dt.select(&index)? {
        Time::Shared(dt) => part.f_mul_scalar(dt)?,
        Time::Each(dt) => part.f_mul(&dt)?,
    };
    let t = trial.at.t.select(&index)?.offset(1.0, &Time::Each(dt))?.rows(&y)?;
    Ok((t, y))
}

/// Time and state of an event, differentiable where the solution is: with `g(t*, y(t*)) = 0`,
/// `dt* = −∂g/∂y · dy / (dg/dt)` (Chen, Amos and Nickel 2021, "Learning neural event functions for
/// ordinary differential equations", arXiv:2011.03902, eq. 9).
fn describe(driver: &Driver<'_>, trial: &mut Trial, root: &Root) -> Result<(Occurrence, f64)> {
    let row = trial.row_of(root.position);
    let (t, y) = look(driver, trial, &[row as i64], &[root.theta])?;
    let lane = &driver.lanes[driver.ids[root.position]];
    let exact = lane.t + root.theta * lane.dt();
    let event = &driver.plan.events[root.event];
    let sample = driver.ids[root.position];
    let value = event.value(&t, &y)?;
    if !value.requires_grad() {
        let (time, state) = (numbers(&[exact], &y)?.f_select(0, 0)?, y.f_select(0, 0)?);
        return Ok((Occurrence { event: root.event, row: sample, time, state }, exact));
    }
    let original = indices(&[sample as i64], &y)?;
    let speed = {
        let _no_grad = tch::no_grad_guard();
        driver.field.rate(&t, &y, &Rows::of(original))?
    };
    let change = recorded(|| {
        let (t, y) = (leaf(&t)?, leaf(&y)?);
        let value = event.value(&t, &y)?;
        let by_state = gradient(&value, None, &y, Graph::Keep)?.f_mul(&speed)?.f_sum(None)?;
        Ok(gradient(&value, None, &t, Graph::Free)?.f_sum(None)?.f_add(&by_state)?.f_detach()?)
    })?;
    // The value is zero up to rounding: only its gradient is wanted.
    let shift = value.f_sub(&value.f_detach()?)?.f_div(&change)?.f_neg()?;
    let time = numbers(&[exact], &y)?.f_add(&shift)?.f_select(0, 0)?;
    let state = y.f_add(&speed.f_mul(&column(&shift, &y)?)?)?.f_select(0, 0)?;
    Ok((Occurrence { event: root.event, row: sample, time, state }, exact))
}
