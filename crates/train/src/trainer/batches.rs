//! Where training batches come from.

use maxlik_model::Batch;
use maxlik_tensor::{Error, Result};
use std::fmt::{self, Debug};

/// A source of training batches, each a pure function of its step: that is what lets a run that was
/// stopped go on bit for bit. LibTorch's generator is seeded for the step before each call.
///
/// A loader that gives batches one after the other becomes a source by [`Stream`].
pub trait Batches {
    /// The batch of step `step`, counted from 0 over the whole run.
    ///
    /// # Errors
    /// Those of the data.
    fn batch(&mut self, step: u64) -> Result<Batch>;

    /// Batches in a pass over the data, at least 1.
    fn per_epoch(&self) -> u64;
}

/// One and the same tensor at every step, such as a data set small enough to be used whole.
impl Batches for tch::Tensor {
    fn batch(&mut self, _step: u64) -> Result<Batch> {
        Ok(Batch::new(self.shallow_clone()))
    }

    fn per_epoch(&self) -> u64 {
        1
    }
}

/// Batches from iterators that can begin at any step: one is kept for as long as the steps follow
/// each other, so that it may prepare batches ahead.
///
/// ```
/// use maxlik_model::Batch;
/// use maxlik_train::{Batches, Stream};
/// use tch::Tensor;
///
/// let from = |step: u64| Ok((step..).map(|i| Ok(Batch::new(Tensor::from(i as i64)))));
/// let mut stream = Stream::new(10, from);
/// for step in [7, 8, 9, 3, 4] {
///     assert_eq!(stream.batch(step)?.data.int64_value(&[]), step as i64);
/// }
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
pub struct Stream<I, F> {
    per_epoch: u64,
    from: F,
    current: Option<(u64, I)>,
}

impl<I, F> Stream<I, F>
where
    I: Iterator<Item = Result<Batch>>,
    F: FnMut(u64) -> Result<I>,
{
    /// Batches of which `per_epoch` make an epoch; `from(step)` gives those from `step` on, without
    /// end.
    #[must_use]
    pub fn new(per_epoch: u64, from: F) -> Self {
        Self { per_epoch, from, current: None }
    }
}

impl<I, F> Batches for Stream<I, F>
where
    I: Iterator<Item = Result<Batch>>,
    F: FnMut(u64) -> Result<I>,
{
    fn batch(&mut self, step: u64) -> Result<Batch> {
        let mut batches = match self.current.take() {
            Some((next, batches)) if next == step => batches,
            _ => (self.from)(step)?,
        };
        let batch = batches.next().ok_or_else(|| {
            Error::config("data", format!("expected batches without end, got none at step {step}"))
        })?;
        self.current = Some((step + 1, batches));
        batch
    }

    fn per_epoch(&self) -> u64 {
        self.per_epoch
    }
}

impl<I, F> Debug for Stream<I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.current.as_ref().map(|(next, _)| next);
        f.debug_struct("Stream")
            .field("per_epoch", &self.per_epoch)
            .field("next", &next)
            .finish_non_exhaustive()
    }
}
