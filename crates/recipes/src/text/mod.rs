//! Language models in recipes: text, tokens, training, evaluation, and text that is written on.

mod generate;
mod measure;
mod model;
mod problem;
mod report;
mod train;

pub use generate::{Prompted, sample};
pub use model::{TextModel, objective};
pub use problem::TextProblem;
pub use train::train;

use crate::config::{DataConfig, Recipe};
use anyhow::Result;
use maxlik_train::{Run, config};
use measure::measure;
use std::path::Path;
use tch::Device;

/// Whether a recipe is about text.
#[must_use]
pub fn is_text(recipe: &Recipe) -> bool {
    matches!(recipe.data, DataConfig::Text { .. })
}

/// A run of text that has been opened.
#[derive(Debug)]
pub struct Opened {
    run: Run,
    recipe: Recipe,
    problem: TextProblem,
    model: TextModel,
    step: u64,
}

/// Opens the run in the folder at `path`, if it is about text.
///
/// # Errors
/// For a folder without a run or a checkpoint.
pub fn open(path: &Path, device: Device) -> Result<Option<Opened>> {
    let run = Run::open(path)?;
    let recipe: Recipe = config::load(&run.config(), &[])?;
    if !is_text(&recipe) {
        return Ok(None);
    }
    let problem = TextProblem::load(&recipe)?;
    let model = TextModel::build(&recipe, &problem, device)?;
    let step = run.checkpoints().load_weights(&model.params)?;
    Ok(Some(Opened { run, recipe, problem, model, step }))
}

impl Opened {
    /// Evaluates, and prints the results.
    ///
    /// # Errors
    /// Those of the model.
    pub fn eval(&self) -> Result<()> {
        let results = measure(&self.problem, &self.model)?;
        say!("{} after {} steps", self.recipe.name, self.step);
        say!("{}", results.table().trim_end());
        say!("{}", results.note);
        Ok(())
    }

    /// Evaluates, and writes the report.
    ///
    /// # Errors
    /// Those of the model and of files that cannot be written.
    pub fn report(&self) -> Result<()> {
        let results = measure(&self.problem, &self.model)?;
        report::write(&self.recipe, &self.problem, &self.model, &self.run, &results)?;
        say!("{}", self.run.file("report.html").display());
        Ok(())
    }
}
