//! Where training batches come from.

use maxlik_model::Batch;
use maxlik_tensor::Result;

/// A source of training batches, each a pure function of its step: that is what lets a run that was
/// stopped go on bit for bit. LibTorch's generator is seeded for the step before each call.
///
/// A loader that prepares batches ahead keeps its iterator, and moves it where `step` is not the one
/// after the last.
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
