//! `maxlik eval`.

use super::open;
use crate::outcome;
use crate::text;
use anyhow::Result;
use maxlik_tensor::device;
use std::path::Path;

/// Evaluates the weights of a run, finished or not, and prints the results.
///
/// # Errors
/// For a folder without a run or a checkpoint.
pub fn eval(run: &Path, device: &str) -> Result<()> {
    let device = device::parse(device)?;
    if let Some(opened) = text::open(run, device)? {
        return opened.eval();
    }
    let opened = open(run, device)?;
    let results = outcome::measure(&opened.recipe, &opened.problem, &opened.model)?;
    say!("{} after {} steps", opened.recipe.name, opened.step);
    say!("{}", results.table().trim_end());
    say!("{}", results.note);
    Ok(())
}
