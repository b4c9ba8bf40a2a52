//! The clock of one sample, or of a batch that steps together.

use crate::control::{Adaptive, Control, Grid};
use crate::solution::{Counts, Status};
use maxlik_tensor::{Error, Result, check, host};
use tch::{Kind, Tensor};

/// The times at which solutions are wanted, of all samples or of each.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    values: Vec<f64>,
    count: usize,
    shared: bool,
}

impl Times {
    /// Reads `[T]` or `[B, T]`: monotone, forward or backward, at least one.
    pub(crate) fn read(times: &Tensor, batch: i64) -> Result<Self> {
        check::floating("times", times)?;
        let size = times.size();
        let (count, shared) = match size.as_slice() {
            [count] if *count > 0 => (*count, true),
            [rows, count] if *count > 0 && *rows == batch => (*count, false),
            _ => return Err(Error::shape("times", format!("[T] or [{batch}, T], T ≥ 1"), &size)),
        };
        let values = host::to_vec(times)?;
        let count = usize::try_from(count).unwrap_or(1);
        for row in values.chunks(count) {
            if let Some(bad) = row.iter().find(|t| !t.is_finite()) {
                return Err(Error::config("times", format!("expected finite times, got {bad}")));
            }
            let rising = row.windows(2).all(|w| w[0] <= w[1]);
            let falling = row.windows(2).all(|w| w[0] >= w[1]);
            if !rising && !falling {
                return Err(Error::config(
                    "times",
                    format!("expected a monotone row, got {row:?}"),
                ));
            }
        }
        Ok(Self { values, count, shared })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(crate) fn of(&self, lane: usize) -> &[f64] {
        let row = if self.shared { 0 } else { lane };
        &self.values[row * self.count..(row + 1) * self.count]
    }
}

/// One clock.
#[derive(Debug)]
pub(crate) struct Lane {
    origin: f64,
    end: f64,
    sign: f64,
    /// Time of the current state.
    pub(crate) t: f64,
    /// Time at the end of the step that is being tried.
    pub(crate) target: f64,
    /// Magnitude of the step that the controller wants next.
    pub(crate) wanted: f64,
    /// Index of the next time at which a solution is wanted.
    pub(crate) next: usize,
    pub(crate) counts: Counts,
    pub(crate) status: Option<Status>,
    errors: [f64; 3],
    retrying: bool,
    at_jump: bool,
    steps: u64,
}

impl Lane {
    pub(crate) fn new(times: &[f64]) -> Self {
        let (origin, end) = (times[0], times[times.len() - 1]);
        Self {
            origin,
            end,
            sign: if end < origin { -1.0 } else { 1.0 },
            t: origin,
            target: origin,
            wanted: 0.0,
            next: times.iter().take_while(|t| **t == origin).count(),
            counts: Counts::default(),
            status: (origin == end).then_some(Status::Success),
            errors: [1.0; 3],
            retrying: false,
            at_jump: false,
            steps: 0,
        }
    }

    pub(crate) fn span(&self) -> f64 {
        (self.end - self.origin).abs()
    }

    pub(crate) fn sign(&self) -> f64 {
        self.sign
    }

    /// Sets the target of the next step; `land` are times that a step has to end at.
    pub(crate) fn propose(&mut self, control: &Control, land: &[f64], kind: Kind) {
        match control {
            Control::Fixed(grid) => {
                let (size, count) = match grid {
                    Grid::Count(n) => (self.span() / *n as f64, *n as f64),
                    // A last step of a billionth of the others would be rounding alone.
                    Grid::Size(h) => (*h, (self.span() / h - 1e-9).ceil()),
                };
                // From the time, since steps that end early at a wanted time leave the grid as it is.
                let next = ((self.t - self.origin).abs() / size + 1e-6).floor() + 1.0;
                let on_grid =
                    if next < count { self.origin + self.sign * size * next } else { self.end };
                self.target = self.nearest(&[on_grid], land);
            }
            Control::Adaptive(adaptive) => {
                let step = self.wanted.clamp(adaptive.min_step, adaptive.max_step);
                let free = self.t + self.sign * step;
                let stop = self.nearest(&adaptive.step_t, land);
                let jump = self.nearest(&adaptive.jump_t, &[]);
                self.at_jump = false;
                self.target = free;
                if self.beyond(free, stop) {
                    self.target = stop;
                }
                if jump != self.end && self.beyond(self.target, jump) {
                    // Just before the jump: the field is evaluated at the end of the step, too.
                    self.target = jump - self.sign * nudge(jump, kind);
                    self.at_jump = true;
                }
            }
        }
    }

    /// Whether a step to `t` reaches `stop`, or comes so close that the rest would be rounding.
    fn beyond(&self, t: f64, stop: f64) -> bool {
        (stop - t) * self.sign <= 1e-12 * (stop - self.t).abs()
    }

    /// The first of the times beyond the current one, or the end.
    fn nearest(&self, a: &[f64], b: &[f64]) -> f64 {
        let ahead =
            |t: &&f64| (**t - self.t) * self.sign > 0.0 && (self.end - **t) * self.sign > 0.0;
        a.iter()
            .chain(b)
            .filter(ahead)
            .fold(self.end, |best, t| if (t - best) * self.sign < 0.0 { *t } else { best })
    }

    /// Signed size of the step that is being tried.
    pub(crate) fn dt(&self) -> f64 {
        self.target - self.t
    }

    /// Takes the norm of the error of the tried step, and says whether it is accepted.
    pub(crate) fn judge(&mut self, norm: f64, adaptive: &Adaptive, power: u32) -> bool {
        let accepted = norm <= 1.0;
        let used = self.dt().abs();
        let errors = [norm, self.errors[0], self.errors[1]];
        let factor = adaptive.factor(errors, power, accepted);
        if accepted {
            self.errors = errors;
            // A step that ended early at a stop says little about the step that was wanted.
            let clipped = used < 0.999 * self.wanted;
            let free = if self.retrying { factor.min(1.0) } else { factor } * used;
            self.wanted = if clipped { free.max(self.wanted) } else { free };
            self.retrying = false;
        } else {
            self.counts.rejected += 1;
            self.wanted = factor * used;
            self.retrying = true;
            let least = adaptive.min_step.max(8.0 * f64::EPSILON * self.t.abs());
            if self.wanted < least || self.wanted == 0.0 {
                self.status =
                    Some(if norm.is_finite() { Status::StepUnderflow } else { Status::NonFinite });
            }
        }
        self.steps += 1;
        if self.status.is_none() && self.steps >= adaptive.max_steps && !self.ends(accepted) {
            self.status = Some(Status::TooManySteps);
        }
        accepted
    }

    fn ends(&self, accepted: bool) -> bool {
        accepted && self.target == self.end
    }

    /// Moves to the target, and says whether the slope there has to be evaluated anew.
    pub(crate) fn advance(&mut self, kind: Kind) -> bool {
        self.counts.accepted += 1;
        self.t = self.target;
        if self.t == self.end {
            self.status = Some(Status::Success);
        }
        if self.at_jump {
            self.t += 2.0 * self.sign * nudge(self.t, kind);
        }
        self.at_jump
    }

    /// Indices of the wanted times up to `t`, which are done with this call.
    pub(crate) fn passed(&mut self, times: &[f64], t: f64) -> std::ops::Range<usize> {
        let begin = self.next;
        while self.next < times.len() && (times[self.next] - t) * self.sign <= 0.0 {
            self.next += 1;
        }
        begin..self.next
    }
}

/// The distance to the next number of that dtype.
fn nudge(t: f64, kind: Kind) -> f64 {
    let epsilon = if kind == Kind::Double { f64::EPSILON } else { f64::from(f32::EPSILON) };
    epsilon * t.abs().max(epsilon)
}
