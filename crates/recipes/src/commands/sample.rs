//! `maxlik sample`.

use super::open;
use crate::samples;
use anyhow::{Result, bail};
use maxlik_tensor::device;
use std::path::Path;

/// Draws samples from a run, finished or not, and writes them into its folder.
///
/// # Errors
/// For a folder without a run or a checkpoint, and for no samples.
pub fn sample(run: &Path, count: i64, seed: u64, device: &str) -> Result<()> {
    if count < 1 {
        bail!("-n: expected at least one sample, got {count}");
    }
    let opened = open(run, device::parse(device)?)?;
    let drawn = samples::draw(&opened.problem, &opened.model, count, seed)?;
    for path in samples::write(&opened.run, &opened.problem, &drawn)? {
        say!("{}", path.display());
    }
    Ok(())
}
