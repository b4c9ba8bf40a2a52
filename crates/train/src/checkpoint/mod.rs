//! Checkpoints: safetensors files that hold everything a run needs to go on bit for bit.
//!
//! A file holds, under these names, the model's parameters and buffers (`model.…`), the optimizer's
//! state (`optimizer.…`), the averaged weights (`ema.…`), and in its header the [`Meta`] data and a
//! SHA-256 checksum of every other byte of the file. Any safetensors reader opens it.

mod file;
mod folder;

pub use folder::{Folder, Loaded};

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// A value of the quantity that selects the best weights, and the step that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Steps that were made before it.
    pub step: u64,
    /// The value; lower is better.
    pub value: f64,
}

/// What a checkpoint knows beside its tensors.
///
/// All random draws are functions of `seed` and `step`, so that these two are the state of every
/// stream; the epoch is there for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Root seed of all random streams.
    pub seed: u64,
    /// Steps that were made: the position in data and schedule, and the counter of all streams.
    pub step: u64,
    /// Complete passes over the data.
    pub epoch: u64,
    /// Batches seen of the pass that is under way.
    pub batch_in_epoch: u64,
    /// The best validation so far.
    pub best: Option<Best>,
    /// Validations since then.
    pub stale: u64,
    /// Seconds of training, over all parts of an interrupted run.
    pub train_seconds: f64,
    /// Sums for the line of metrics that is under way, by name.
    pub window: BTreeMap<String, f64>,
}

/// Tensors by name, with their [`Meta`] data.
#[derive(Debug)]
pub struct Checkpoint {
    /// What the file knows beside its tensors.
    pub meta: Meta,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// A checkpoint without tensors.
    #[must_use]
    pub fn new(meta: Meta) -> Self {
        Self { meta, tensors: BTreeMap::new() }
    }

    /// Adds tensors (shared, not copied) under `group.name`.
    pub fn insert(&mut self, group: &str, tensors: &[(String, Tensor)]) {
        let named = tensors.iter().map(|(name, t)| (format!("{group}.{name}"), t.shallow_clone()));
        self.tensors.extend(named);
    }

    /// The tensors of `group` under their own names, sorted.
    #[must_use]
    pub fn group(&self, group: &str) -> Vec<(String, Tensor)> {
        let prefix = format!("{group}.");
        let inside = self.tensors.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), tensor.shallow_clone()))
        });
        inside.collect()
    }

    /// Copies the tensors of `group` into `targets` of the same names.
    ///
    /// Names, shapes and dtypes are all checked before the first value is copied.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that only one side has, [`Error::Shape`] or [`Error::Kind`] for a
    /// tensor that does not fit.
    pub fn restore(&self, group: &str, targets: &[(String, Tensor)]) -> Result<()> {
        let stored = self.group(group);
        let names: BTreeMap<&str, &Tensor> = targets.iter().map(|(n, t)| (n.as_str(), t)).collect();
        if let Some((name, _)) = stored.iter().find(|(name, _)| !names.contains_key(name.as_str()))
        {
            let why = "the checkpoint has this tensor, the model has not";
            return Err(Error::config(format!("{group}.{name}"), why));
        }
        for (name, target) in targets {
            let full = format!("{group}.{name}");
            let Some(tensor) = self.tensors.get(&full) else {
                let why = "the model has this tensor, the checkpoint has not";
                return Err(Error::config(full, why));
            };
            maxlik_tensor::check::shape(&full, tensor, &target.size())?;
            if tensor.kind() != target.kind() {
                return Err(Error::Kind {
                    what: full,
                    expected: format!("{:?}", target.kind()),
                    got: format!("{:?}", tensor.kind()),
                });
            }
        }
        let _no_grad = tch::no_grad_guard();
        for (name, target) in targets {
            target.shallow_clone().f_copy_(&self.tensors[&format!("{group}.{name}")])?;
        }
        Ok(())
    }

    /// Reads the file at `path`, after checking its checksum.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read, [`Error::Corrupt`] where it is not, or no longer, what
    /// was written.
    pub fn load(path: &Path) -> Result<Self> {
        file::load(path)
    }

    /// Writes a file that is complete, synced to the disk, and named `path`, or not there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        crate::disk::write(path, &self.to_bytes()?)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a dtype that safetensors has not.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        file::encode(&self.meta, &self.tensors)
    }
}
