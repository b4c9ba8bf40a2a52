//! `metrics.jsonl`, and the TensorBoard events that mirror it.

use super::environment::now;
use super::tensorboard::Events;
use crate::disk::{self, io};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub(super) const FILE: &str = "metrics.jsonl";

/// The name of a quantity in `metrics.jsonl`: `key("train", "Flow matching")` is
/// `train_flow_matching`.
#[must_use]
pub fn key(part: &str, quantity: &str) -> String {
    format!("{part}_{}", quantity.to_lowercase().replace(' ', "_"))
}

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Steps that were made before it.
    pub step: u64,
    /// Passes over the data, with fractions.
    pub epoch: f64,
    /// Seconds since 1970.
    pub time: f64,
    /// Values by name; those that are not finite are left out.
    #[serde(flatten)]
    pub values: BTreeMap<String, f64>,
}

/// `metrics.jsonl` and TensorBoard events, open for appending.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    events: Events,
}

impl Log {
    pub(super) fn open(folder: &Path, step: u64) -> Result<Self> {
        let path = folder.join(FILE);
        let kept: Vec<Record> = read(&path)?.into_iter().filter(|r| r.step <= step).collect();
        let mut text = Vec::new();
        for record in &kept {
            text.extend(line(record)?);
        }
        disk::write(&path, &text)?;
        // Event files cannot be cut at a step, so that they are written again from the lines kept.
        Events::remove(folder)?;
        let mut events = Events::create(folder, now().as_secs_f64())?;
        for record in &kept {
            events.scalars(record.time, record.step, &record.values)?;
        }
        let file = OpenOptions::new().append(true).open(&path).map_err(io(&path))?;
        Ok(Self { path, file, events })
    }

    /// Appends a line, and the same values as TensorBoard scalars.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, step: u64, epoch: f64, values: &BTreeMap<String, f64>) -> Result<()> {
        let values: BTreeMap<String, f64> =
            values.iter().filter(|(_, v)| v.is_finite()).map(|(k, v)| (k.clone(), *v)).collect();
        let record = Record { step, epoch, time: now().as_secs_f64(), values };
        self.file.write_all(&line(&record)?).map_err(io(&self.path))?;
        self.events.scalars(record.time, step, &record.values)
    }

    /// Waits until all lines are on the disk, as a checkpoint that counts on them must.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(io(&self.path))
    }
}

/// All complete lines; one that was cut off when the process was killed is left out.
pub(super) fn read(path: &Path) -> Result<Vec<Record>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).map_err(io(path))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn line(record: &Record) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec(record).map_err(|e| Error::config("metrics", e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
