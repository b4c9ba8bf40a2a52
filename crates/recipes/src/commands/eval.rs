//! `maxlik eval`.

use super::open;
use crate::outcome;
use anyhow::Result;
use maxlik_tensor::device;
use std::path::Path;

/// Evaluates the weights of a run, finished or not, and prints the results.
///
/// # Errors
/// For a folder without a run or a checkpoint.
pub fn eval(run: &Path, device: &str) -> Result<()> {
    let opened = open(run, device::parse(device)?)?;
    let results = outcome::measure(&opened.recipe, &opened.problem, &opened.model)?;
    say!("{} after {} steps", opened.recipe.name, opened.step);
    say!("{}", results.table().trim_end());
    say!("{}", results.note);
    Ok(())
}
