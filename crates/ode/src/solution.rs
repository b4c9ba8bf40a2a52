//! What a solver returns.

use tch::Tensor;

/// How the solution of one sample ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// At its last time.
    Success,
    /// At a terminal event, the one of this index.
    Event(usize),
    /// The tolerance asked for a step below the least one.
    StepUnderflow,
    /// After the greatest number of steps.
    TooManySteps,
    /// The field or the state was not finite, however small the step.
    NonFinite,
}

impl Status {
    /// Whether the sample reached its last time or a terminal event.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Event(_))
    }
}

/// Counts of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Evaluations of the field.
    pub evaluations: u64,
    /// Accepted steps.
    pub accepted: u64,
    /// Rejected steps.
    pub rejected: u64,
}

/// An event that was met.
#[derive(Debug)]
pub struct Occurrence {
    /// Index of the event.
    pub event: usize,
    /// The sample.
    pub row: usize,
    /// When, a scalar; differentiable as the root of the event function.
    pub time: Tensor,
    /// The state there, of the event's shape.
    pub state: Tensor,
}

/// The solution of a batch.
#[derive(Debug)]
pub struct Solution {
    /// States at the asked times, `[T, B, …]`; NaN at times that a sample did not reach.
    pub states: Tensor,
    /// The last good state of each sample, `[B, …]`.
    pub last: Tensor,
    /// The time of that state, for each sample.
    pub reached: Vec<f64>,
    /// How each sample ended.
    pub status: Vec<Status>,
    /// Counts of each sample.
    pub counts: Vec<Counts>,
    /// Steps that were made with the batch or a part of it.
    pub steps: u64,
    /// Events, in the order in which they were found.
    pub events: Vec<Occurrence>,
}

impl Solution {
    /// The states at the last asked time, `[B, …]`.
    pub fn final_states(&self) -> Tensor {
        self.states.select(0, -1)
    }

    /// The greatest number of evaluations that a sample took.
    #[must_use]
    pub fn max_evaluations(&self) -> u64 {
        self.counts.iter().map(|c| c.evaluations).max().unwrap_or(0)
    }

    /// An error where a sample was not solved to its end.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::NotConverged`] or `NonFinite` naming the first such sample.
    pub fn ensure_success(&self) -> maxlik_tensor::Result<()> {
        use maxlik_tensor::Error;
        let Some(row) = self.status.iter().position(|s| !s.is_success()) else { return Ok(()) };
        let counts = self.counts[row];
        let steps = usize::try_from(counts.accepted + counts.rejected).unwrap_or(usize::MAX);
        let at = format!("at t = {}", self.reached[row]);
        Err(match self.status[row] {
            Status::NonFinite => {
                Error::NonFinite { what: format!("solution of sample {row} {at}") }
            }
            Status::StepUnderflow => Error::NotConverged {
                what: format!("solution of sample {row} (step underflow {at})"),
                steps,
            },
            _ => Error::NotConverged {
                what: format!("solution of sample {row} (stopped {at})"),
                steps,
            },
        })
    }
}
