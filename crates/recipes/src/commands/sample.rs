//! `maxlik sample`.

use super::open;
use crate::samples;
use crate::text::{self, Prompted};
use anyhow::{Result, bail};
use maxlik_tensor::device;
use std::path::Path;

/// Draws samples from a run, finished or not, and writes them into its folder. A run of text prints them
/// as they come, written on from the prompt; a prompt for another run is refused.
///
/// # Errors
/// For a folder without a run or a checkpoint, and for no samples.
pub fn sample(
    run: &Path,
    count: Option<i64>,
    prompted: &Prompted,
    given: bool,
    device: &str,
) -> Result<()> {
    if let Some(count) = count.filter(|count| *count < 1) {
        bail!("-n: expected at least one sample, got {count}");
    }
    let device = device::parse(device)?;
    if let Some(opened) = text::open(run, device)? {
        return text::sample(&opened, prompted, count.unwrap_or(1));
    }
    if given {
        bail!("--prompt: this run is not of text");
    }
    let opened = open(run, device)?;
    let drawn = samples::draw(&opened.problem, &opened.model, count.unwrap_or(100), prompted.seed)?;
    for path in samples::write(&opened.run, &opened.problem, &drawn)? {
        say!("{}", path.display());
    }
    Ok(())
}
