//! Shuffled batches, prepared ahead by threads, of which every one is a pure function of its
//! position.
//!
//! Batch `(epoch, step)` depends on the data, the seed and the transforms only: not on the number
//! of threads, not on which batches were asked for before. A position is therefore all the state
//! that a run has to store to go on where it stopped.
//!
//! ```
//! use maxlik_data::{Dequantize, Loader, LoaderConfig, Position, digits};
//!
//! let config = LoaderConfig { batch: 100, ..LoaderConfig::default() };
//! let loader = Loader::new(digits::dataset::<f32>()?, config)?
//!     .with_transform(Dequantize::new(digits::LEVELS)?);
//! let mut batches = loader.iter_from(Position { epoch: 3, step: 17 })?;
//! let last = batches.next().unwrap()?;
//! let first = batches.next().unwrap()?;
//! assert_eq!((last.data.nrows(), last.epoch, last.step), (97, 3, 17));
//! assert_eq!((first.data.nrows(), first.epoch, first.step), (100, 4, 0));
//! # Ok::<(), maxlik_data::Error>(())
//! ```

mod batches;

pub use batches::Batches;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::random::{Stream, permutation};
use crate::scalar::Scalar;
use ndarray::{Array2, Axis};
use rand_chacha::ChaCha8Rng;
use std::fmt::{self, Debug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// How a [`Loader`] makes batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Rows of a batch.
    pub batch: usize,
    /// Seed of the order and of the transforms' generators.
    pub seed: u64,
    /// Whether each epoch has an order of its own; otherwise the rows come as they lie.
    pub shuffle: bool,
    /// Whether to leave out the last batch of an epoch when it has fewer rows.
    pub drop_last: bool,
    /// Threads that prepare batches ahead; with 0 the caller's thread makes each when asked.
    pub threads: usize,
    /// Batches that are kept ready, for all threads together.
    pub prefetch: usize,
}

const MOST_THREADS: usize = 256;
const MOST_PREFETCH: usize = 4096;

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch: 256, seed: 0, shuffle: true, drop_last: false, threads: 1, prefetch: 4 }
    }
}

/// A place in the endless sequence of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// Passes over the data that are complete.
    pub epoch: u64,
    /// Batches of this pass that are complete.
    pub step: u64,
}

/// Rows for one step, in host memory. `B` is the number of rows, at most the loader's `batch`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostBatch<T> {
    /// The rows after all transforms, `[B, D]`.
    pub data: Array2<T>,
    /// Their context, `[B, C]`.
    pub context: Option<Array2<T>>,
    /// Their weights, `B`.
    pub weights: Option<Vec<T>>,
    /// Their labels, `B`.
    pub labels: Option<Vec<i64>>,
    /// Their places in the data set, `B`.
    pub index: Vec<usize>,
    /// The shape of one event; its product is `D`.
    pub event_shape: Vec<usize>,
    /// The epoch of this batch.
    pub epoch: u64,
    /// The step of this batch within its epoch.
    pub step: u64,
}

/// A change of a row when it is put into a batch, such as dequantisation or augmentation.
///
/// Closures `Fn(&mut [T], usize, &mut ChaCha8Rng)` are transforms.
pub trait Transform<T>: Send + Sync {
    /// Changes `row` (`D` values), which is row `index` of the data set. `rng` is a function of
    /// the loader's seed, the epoch and `index`; transforms of one loader draw from it in turn.
    fn apply(&self, row: &mut [T], index: usize, rng: &mut ChaCha8Rng);
}

impl<T, F: Fn(&mut [T], usize, &mut ChaCha8Rng) + Send + Sync> Transform<T> for F {
    fn apply(&self, row: &mut [T], index: usize, rng: &mut ChaCha8Rng) {
        self(row, index, rng);
    }
}

/// Batches of a data set by position.
#[derive(Clone)]
pub struct Loader<T> {
    data: Arc<Dataset<T>>,
    config: LoaderConfig,
    transforms: Vec<Arc<dyn Transform<T>>>,
}

impl<T> Debug for Loader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("data", &self.data.name())
            .field("rows", &self.data.len())
            .field("config", &self.config)
            .field("transforms", &self.transforms.len())
            .finish()
    }
}

impl<T: Scalar> Loader<T> {
    /// A loader without transforms.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch of no rows, more than 256 threads or more than 4,096 batches
    /// kept ready, [`Error::Shape`] where not even one batch comes
    /// of the data.
    pub fn new(data: impl Into<Arc<Dataset<T>>>, config: LoaderConfig) -> Result<Self> {
        let data = data.into();
        if config.batch == 0 {
            return Err(Error::config("loader batch", "expected at least 1, got 0"));
        }
        for (field, value, most) in [
            ("loader threads", config.threads, MOST_THREADS),
            ("loader prefetch", config.prefetch, MOST_PREFETCH),
        ] {
            if value > most {
                let why = format!("expected at most {most}, got {value}");
                return Err(Error::config(field, why));
            }
        }
        let least = if config.drop_last { config.batch } else { 1 };
        if data.len() < least {
            return Err(Error::shape(
                format!("{}, rows for a batch", data.name()),
                format!("at least {least}"),
                data.len().to_string(),
            ));
        }
        Ok(Self { data, config, transforms: Vec::new() })
    }

    /// Adds a transform, after those that are there.
    #[must_use]
    pub fn with_transform(mut self, transform: impl Transform<T> + 'static) -> Self {
        self.transforms.push(Arc::new(transform));
        self
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &Dataset<T> {
        &self.data
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// Batches of an epoch.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        let steps = if self.config.drop_last {
            self.data.len() / self.config.batch
        } else {
            self.data.len().div_ceil(self.config.batch)
        };
        steps as u64
    }

    /// The order of the rows in `epoch`: the permutation of generator `epoch` of stream `order` of
    /// the seed.
    #[must_use]
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        if self.config.shuffle {
            let mut rng = Stream::new(self.config.seed, "order").rng(epoch);
            permutation(self.data.len(), &mut rng)
        } else {
            (0..self.data.len()).collect()
        }
    }

    /// The position after `position`.
    #[must_use]
    pub fn after(&self, position: Position) -> Position {
        let step = position.step.saturating_add(1);
        if step < self.steps_per_epoch() {
            Position { step: position.step + 1, ..position }
        } else {
            Position { epoch: position.epoch.saturating_add(1), step: 0 }
        }
    }

    /// One batch. Makes the order of the whole epoch: to walk through many, use
    /// [`Loader::iter_from`] or [`Loader::epoch`].
    ///
    /// # Errors
    /// [`Error::Config`] for a step outside the epoch, [`Error::Worker`] where a transform panics.
    pub fn batch(&self, position: Position) -> Result<HostBatch<T>> {
        self.check(position)?;
        self.make(position, &self.order(position.epoch))
    }

    /// All batches from `position` on, without end, prepared ahead by the threads of the
    /// configuration.
    ///
    /// # Errors
    /// [`Error::Config`] for a step outside the epoch.
    pub fn iter_from(&self, position: Position) -> Result<Batches<T>> {
        self.check(position)?;
        Ok(Batches::new(self, position, None))
    }

    /// The batches of one epoch.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Batches<T> {
        let start = Position { epoch, step: 0 };
        Batches::new(self, start, Some(self.steps_per_epoch()))
    }

    fn check(&self, position: Position) -> Result<()> {
        let steps = self.steps_per_epoch();
        if position.step < steps {
            return Ok(());
        }
        let why = format!("expected less than {steps}, got {}", position.step);
        Err(Error::config("loader step", why))
    }

    /// The batch at `position`, given the order of its epoch.
    fn make(&self, position: Position, order: &[usize]) -> Result<HostBatch<T>> {
        let begin = position.step as usize * self.config.batch;
        let end = (begin + self.config.batch).min(order.len());
        let index = &order[begin..end];
        let mut data = self.data.rows().select(Axis(0), index);
        if !self.transforms.is_empty() {
            // A panic of a user's closure must reach the user, not end a thread unseen.
            catch_unwind(AssertUnwindSafe(|| self.transform(position, index, &mut data))).map_err(
                |payload| Error::Worker {
                    epoch: position.epoch,
                    step: position.step,
                    message: message(payload.as_ref()),
                },
            )?;
        }
        let source = &self.data;
        Ok(HostBatch {
            data,
            context: source.context().map(|c| c.select(Axis(0), index)),
            weights: source.weights().map(|w| index.iter().map(|&i| w[i]).collect()),
            labels: source.labels().map(|l| index.iter().map(|&i| l[i]).collect()),
            index: index.to_vec(),
            event_shape: source.event_shape().to_vec(),
            epoch: position.epoch,
            step: position.step,
        })
    }

    fn transform(&self, position: Position, index: &[usize], data: &mut Array2<T>) {
        let stream = Stream::new(self.config.seed, "sample").child(position.epoch);
        let width = data.ncols();
        let Some(values) = data.as_slice_mut() else {
            return;
        };
        for (row, &index) in values.chunks_exact_mut(width).zip(index) {
            let mut rng = stream.rng(index as u64);
            for transform in &self.transforms {
                transform.apply(row, index, &mut rng);
            }
        }
    }
}

/// First line of a panic's message.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    text.lines().next().unwrap_or_default().to_owned()
}
