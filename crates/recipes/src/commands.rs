//! The sub-commands of `maxlik`: one file for each.

mod data;
mod eval;
mod page;
mod report;
mod reproduce;
mod sample;
mod systems;
mod train;

pub use data::data;
pub use eval::eval;
pub use report::report;
pub use reproduce::{Reproduction, reproduce, reproduce_among};
pub use sample::sample;
pub use systems::systems;
pub use train::{Training, train};

use crate::config::Recipe;
use crate::model::Model;
use crate::problem::Problem;
use anyhow::Result;
use maxlik_train::{Run, config};
use std::path::Path;
use tch::Device;

/// A run that has been opened: its recipe, data, and model with the weights to be used.
#[derive(Debug)]
struct Opened {
    run: Run,
    recipe: Recipe,
    problem: Problem,
    model: Model,
    /// Steps behind the weights.
    step: u64,
}

/// Opens the run in the folder at `path`.
fn open(path: &Path, device: Device) -> Result<Opened> {
    let run = Run::open(path)?;
    let recipe: Recipe = config::load(&run.config(), &[])?;
    let problem = Problem::load(&recipe.data, recipe.seed)?;
    let model = Model::build(&recipe, &problem, device)?;
    let step = run.checkpoints().load_weights(&model.params)?;
    Ok(Opened { run, recipe, problem, model, step })
}
