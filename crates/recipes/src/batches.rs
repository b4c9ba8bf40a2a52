//! The trainer's batches from the loader's.

use crate::problem::Problem;
use maxlik_data::{self as data, Loader, LoaderConfig, Position};
use maxlik_model::Batch;
use maxlik_tensor::{Error, Result};
use tch::{Device, Kind};

/// Shuffled training batches, prepared ahead, by step.
#[derive(Debug)]
pub struct TrainingBatches {
    loader: Loader<f64>,
    ahead: Option<data::Batches<f64>>,
    kind: Kind,
    device: Device,
}

impl TrainingBatches {
    /// Batches of `batch` rows of the training part; all rows where there are fewer.
    ///
    /// # Errors
    /// The data crate's, for a batch of no rows.
    pub fn new(
        problem: &Problem,
        batch: usize,
        seed: u64,
        kind: Kind,
        device: Device,
    ) -> data::Result<Self> {
        let train = problem.parts.train.clone();
        let config = LoaderConfig {
            batch: batch.min(train.len()),
            seed,
            shuffle: true,
            // A last batch of a few rows would weigh as much as a full one.
            drop_last: true,
            ..LoaderConfig::default()
        };
        let mut loader = Loader::new(train, config)?;
        if let Some(augmentation) = &problem.augmentation {
            loader = loader.with_transform(*augmentation);
        }
        Ok(Self { loader, ahead: None, kind, device })
    }
}

impl maxlik_train::Batches for TrainingBatches {
    fn batch(&mut self, step: u64) -> Result<Batch> {
        let per_epoch = self.loader.steps_per_epoch();
        let wanted = Position { epoch: step / per_epoch, step: step % per_epoch };
        if self.ahead.as_ref().is_none_or(|batches| batches.position() != wanted) {
            self.ahead = Some(self.loader.iter_from(wanted).map_err(|e| of_data(&e))?);
        }
        let next = self.ahead.as_mut().and_then(Iterator::next);
        let host = next
            .ok_or_else(|| Error::config("data", "no batch is left"))?
            .map_err(|e| of_data(&e))?;
        let rows =
            data::tensor::array_to_tensor(host.data.view(), &[host.data.ncols()], self.device)?;
        Ok(Batch::new(rows.f_to_kind(self.kind)?))
    }

    fn per_epoch(&self) -> u64 {
        self.loader.steps_per_epoch()
    }
}

fn of_data(error: &data::Error) -> Error {
    Error::config("data", error.to_string())
}
