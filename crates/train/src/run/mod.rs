//! The folder of a run.

mod environment;
mod metrics;
mod summary;
pub mod tensorboard;

pub use environment::Environment;
pub use metrics::{Log, Record, key};
pub use summary::Summary;

use crate::checkpoint::Folder;
use crate::disk::{self, io};
use maxlik_tensor::{Error, Result};
use serde::Serialize;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// A run's folder: `config.toml`, `environment.json`, `metrics.jsonl`, TensorBoard events,
/// `checkpoints/`, `plots/`, `samples.*`, `report.html` and `summary.json`.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    /// Held by the process that trains; the system releases it however that process ends.
    _lock: Option<File>,
}

impl Run {
    /// A new run in the folder at `path`, which must be empty or not there yet.
    ///
    /// # Errors
    /// [`Error::Config`] for a folder that holds something, [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).map_err(io(path))?;
        // A lock alone is what a run that was refused its configuration leaves.
        let used = fs::read_dir(path)
            .map_err(io(path))?
            .any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK));
        if used {
            let why = "is not empty; go on with --resume, or choose another folder with --out";
            return Err(Error::config(path.display().to_string(), why));
        }
        Self::locked(path)
    }

    /// A run that is to go on.
    ///
    /// # Errors
    /// [`Error::Config`] for a folder without a run, or one that another process trains in.
    pub fn resume(path: &Path) -> Result<Self> {
        let _checked = Self::open(path)?;
        Self::locked(path)
    }

    /// A run to look at, finished or not.
    ///
    /// # Errors
    /// [`Error::Config`] for a folder without a run.
    pub fn open(path: &Path) -> Result<Self> {
        let run = Self { path: path.to_owned(), _lock: None };
        if run.config().exists() {
            return Ok(run);
        }
        let why = "is no run folder: it holds no config.toml";
        Err(Error::config(path.display().to_string(), why))
    }

    fn locked(path: &Path) -> Result<Self> {
        let file = path.join(LOCK);
        let lock = File::create(&file).map_err(io(&file))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => {
                let why = "another process is training in this folder";
                Err(Error::config(path.display().to_string(), why))
            }
            // Some network file systems have no locks; a run there is worth more than the check.
            Err(TryLockError::Error(source)) => {
                tracing::warn!("{}: cannot be locked ({source})", file.display());
                Ok(Self { path: path.to_owned(), _lock: None })
            }
        }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the folder.
    #[must_use]
    pub fn file(&self, relative: &str) -> PathBuf {
        self.path.join(relative)
    }

    /// The resolved configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.file("config.toml")
    }

    /// The checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> Folder {
        Folder::new(self.file("checkpoints"))
    }

    /// Writes a file (and the folders on the way to it) completely or not at all, and returns its
    /// path.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, relative: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.file(relative);
        disk::write(&path, bytes)?;
        Ok(path)
    }

    /// Writes the resolved configuration.
    ///
    /// # Errors
    /// [`Error::Config`] for what TOML cannot hold, [`Error::Io`].
    pub fn write_config<T: Serialize>(&self, config: &T) -> Result<PathBuf> {
        self.write("config.toml", crate::config::to_toml(config)?.as_bytes())
    }

    /// Writes `environment.json`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_environment(&self, environment: &Environment) -> Result<PathBuf> {
        self.write("environment.json", &json(environment)?)
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a metric that JSON cannot hold, [`Error::Io`].
    pub fn write_summary(&self, summary: &Summary) -> Result<PathBuf> {
        summary.check()?;
        self.write("summary.json", &json(summary)?)
    }

    /// The lines of `metrics.jsonl` so far.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn metrics(&self) -> Result<Vec<Record>> {
        metrics::read(&self.file(metrics::FILE))
    }

    /// Opens `metrics.jsonl` and the TensorBoard events to go on after `step`: lines of later steps,
    /// which a run that was cut off has written after its last checkpoint, are removed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn log(&self, step: u64) -> Result<Log> {
        Log::open(&self.path, step)
    }
}

const LOCK: &str = ".lock";

/// Indented JSON with a line end.
fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|e| Error::config("JSON", e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
