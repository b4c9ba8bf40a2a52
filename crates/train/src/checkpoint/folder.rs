//! The checkpoints of a run.

use super::Checkpoint;
use crate::disk::{self, io};
use maxlik_nn::Params;
use maxlik_tensor::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with the newest checkpoint, the one before it, and the weights that validated best.
///
/// The files are `last.safetensors`, `previous.safetensors` and `best.safetensors`; of the last two
/// states of a run at least one is complete at any moment.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// A checkpoint to go on from, and what was wrong with a newer one.
#[derive(Debug)]
pub struct Loaded {
    /// The newest checkpoint that is intact.
    pub checkpoint: Checkpoint,
    /// Its file.
    pub path: PathBuf,
    /// Why `last.safetensors` could not be used, where it could not.
    pub warning: Option<String>,
}

impl Folder {
    /// The checkpoints in the folder at `path`, which is made when something is saved.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The newest checkpoint.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The newest checkpoint but one.
    #[must_use]
    pub fn previous(&self) -> PathBuf {
        self.path.join("previous.safetensors")
    }

    /// The weights that validated best.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Saves the newest checkpoint; the one that was the newest becomes the previous one once the
    /// new one is complete on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_last(&self, checkpoint: &Checkpoint) -> Result<()> {
        let last = self.last();
        let staged = disk::stage(&last, &checkpoint.to_bytes()?)?;
        if last.exists() {
            fs::rename(&last, self.previous()).map_err(io(&last))?;
        }
        fs::rename(&staged, &last).map_err(io(&last))?;
        disk::sync_folder(&last)
    }

    /// Saves the weights that validated best.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_best(&self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.save(&self.best())
    }

    /// Loads the weights to be used into a model: those that validated best, or of a run without them
    /// the newest, averaged where the run averages. Returns the number of steps behind them.
    ///
    /// # Errors
    /// [`Error::Config`] where there is no checkpoint yet, or one of another model; [`Error::Corrupt`]
    /// and [`Error::Io`].
    pub fn load_weights(&self, params: &Params) -> Result<u64> {
        let checkpoint = if exists(&self.best()) {
            Checkpoint::load(&self.best())?
        } else {
            let loaded = self.resume()?.ok_or_else(|| {
                Error::config(self.path.display().to_string(), "holds no checkpoint yet")
            })?;
            loaded.checkpoint
        };
        checkpoint.restore("model", &params.named())?;
        if !checkpoint.group("ema").is_empty() {
            checkpoint.restore("ema", &params.trainable())?;
        }
        Ok(checkpoint.meta.best.map_or(checkpoint.meta.step, |best| best.step))
    }

    /// The newest checkpoint that is intact; `None` where none was ever written.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Io`] where there are checkpoints, and none can be used.
    pub fn resume(&self) -> Result<Option<Loaded>> {
        let mut problem: Option<Error> = None;
        for path in [self.last(), self.previous()] {
            if !exists(&path) {
                continue;
            }
            match Checkpoint::load(&path) {
                Ok(checkpoint) => {
                    let warning = problem.map(|error| {
                        let step = checkpoint.meta.step;
                        format!("{error}; going on from the checkpoint before it, of step {step}")
                    });
                    return Ok(Some(Loaded { checkpoint, path, warning }));
                }
                Err(error @ (Error::Corrupt { .. } | Error::Io { .. })) => {
                    problem.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        problem.map_or(Ok(None), Err)
    }
}

fn exists(path: &Path) -> bool {
    // Also true where the file is there and cannot be looked at: reading it then tells why.
    path.try_exists().unwrap_or(true)
}
