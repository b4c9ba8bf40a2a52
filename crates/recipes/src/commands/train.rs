//! `maxlik train`.

use super::report::write_report;
use crate::batches::TrainingBatches;
use crate::catalogue;
use crate::config::{ObjectiveConfig, Recipe};
use crate::evaluate;
use crate::model::Model;
use crate::outcome::{self, Results};
use crate::problem::Problem;
use crate::text;
use anyhow::{Context, Result, bail};
use maxlik_data::tensor::array_to_tensor;
use maxlik_model::Density;
use maxlik_tensor::{Seeds, device};
use maxlik_train::evaluate::Estimate;
use maxlik_train::trainer::interrupt;
use maxlik_train::{Environment, Run, Status, Summary, Trainer, config};
use std::path::{Path, PathBuf};
use tch::Device;

/// The arguments of `maxlik train`.
#[derive(Debug)]
pub struct Training<'a> {
    /// A recipe's name or file.
    pub recipe: &'a str,
    /// Changes of its configuration.
    pub overrides: &'a [String],
    /// Device to train on.
    pub device: &'a str,
    /// Folder of the run; by default `runs/NAME-SEED`.
    pub out: Option<&'a Path>,
    /// Whether to go on with the run in that folder.
    pub resume: bool,
}

/// Trains, evaluates, samples, and writes the run folder. Returns the process' exit code.
///
/// # Errors
/// For anything that a person can mend, in one line.
pub fn train(arguments: &Training<'_>) -> Result<i32> {
    let device = device::parse(arguments.device)?;
    let mut recipe = catalogue::find(arguments.recipe, arguments.overrides)?;
    recipe.optim.check()?;
    let folder = arguments.out.map_or_else(
        || PathBuf::from(format!("runs/{}-{}", recipe.name, recipe.seed)),
        Path::to_owned,
    );
    if arguments.resume {
        recipe = resumed(arguments, &folder)?;
    }
    if text::is_text(&recipe) {
        return text::train(&recipe, &folder, arguments.resume, device);
    }
    // All that can be wrong with configuration and data shows before the folder is made.
    let problem = Problem::load(&recipe.data, recipe.seed)?;
    let model = Model::build(&recipe, &problem, device)?;
    let run = if arguments.resume { Run::resume(&folder)? } else { Run::create(&folder)? };
    run.write_config(&recipe)?;
    run.write_environment(&Environment::collect(device))?;
    tracing::info!(
        "{}: {} training rows of {} numbers, {} parameters, run folder {}",
        recipe.name,
        problem.parts.train.len(),
        problem.dims(),
        model.params.count(),
        folder.display()
    );
    fit(&recipe, &problem, &model, &run, arguments.resume)
}

/// The recipe of a run that goes on: its own, with the overrides of this call.
fn resumed(arguments: &Training<'_>, folder: &Path) -> Result<Recipe> {
    let run = Run::open(folder).with_context(|| "--resume")?;
    let recipe: Recipe = config::load(&run.config(), arguments.overrides)?;
    recipe.optim.check()?;
    Ok(recipe)
}

fn fit(recipe: &Recipe, problem: &Problem, model: &Model, run: &Run, resume: bool) -> Result<i32> {
    let (kind, device) = (model.kind(), model.device());
    initialize(recipe, problem, model, device)?;
    let mut batches = TrainingBatches::new(problem, recipe.optim.batch, recipe.seed, kind, device)?;
    let validation = |_: &(dyn Density + 'static)| -> maxlik_tensor::Result<f64> {
        let rows = evaluate::validation(model, problem, recipe.seed)
            .map_err(|error| maxlik_tensor::Error::config("validation", format!("{error:#}")))?;
        Ok(Estimate::of("validation NLL", &rows)?.mean)
    };
    let outcome = Trainer::new(
        model.density.as_ref(),
        model.objective.as_ref(),
        &model.params,
        &recipe.optim,
        recipe.seed,
    )
    .run(run)
    .loss(loss_name(&recipe.objective))
    .resume(resume)
    .validation(validation)
    .interrupt(interrupt::on_signal()?)
    .fit(&mut batches)?;
    let path = run.path().display();
    if outcome.status == Status::Interrupted {
        say!("stopped after step {}; go on with --resume --out {path}", outcome.step);
        return Ok(interrupt::EXIT_CODE);
    }
    let results = outcome::measure(recipe, problem, model)?;
    run.write_summary(&Summary {
        name: recipe.name.clone(),
        seed: recipe.seed,
        steps: outcome.step,
        train_seconds: outcome.train_seconds,
        metrics: results.metrics(),
    })?;
    write_report(recipe, problem, model, run, &results)?;
    finish(&results, &outcome, run);
    Ok(0)
}

/// What the training loss is called; validation is in negative log-likelihood throughout.
fn loss_name(objective: &ObjectiveConfig) -> &'static str {
    match objective {
        ObjectiveConfig::FlowMatching { .. } => "flow matching",
        ObjectiveConfig::VelocityMatching { .. } => "velocity matching",
        ObjectiveConfig::NoiseMatching { .. } => "noise matching",
        ObjectiveConfig::ScoreMatching { .. } => "score matching",
        ObjectiveConfig::ContrastiveLikelihood {} => "contrast",
        ObjectiveConfig::PenalizedLikelihood { .. } => "penalized NLL",
        _ => "NLL",
    }
}

/// Gives layers that start from data their first batch: the whole training part, or as much of it
/// as is enough for means and deviations.
fn initialize(recipe: &Recipe, problem: &Problem, model: &Model, device: Device) -> Result<()> {
    const ENOUGH: usize = 4096;
    let train = problem.parts.train.rows();
    let rows = train.slice(ndarray::s![..train.nrows().min(ENOUGH), ..]);
    let mut x = array_to_tensor(rows, &[rows.ncols()], device)?.f_to_kind(model.kind())?;
    if let Some(levels) = problem.levels {
        let seed = Seeds::new(recipe.seed).stream("initialize").at(0);
        let noise = maxlik_tensor::with_seed(seed, || x.f_rand_like())?;
        x = (x + noise) / f64::from(levels);
    }
    if x.size()[0] < 2 {
        bail!("data: at least two rows are needed to train on");
    }
    Ok(model.density.initialize(&x, None)?)
}

fn finish(results: &Results, outcome: &maxlik_train::Outcome, run: &Run) {
    if outcome.status == Status::EarlyStopped {
        say!("stopped early after step {}", outcome.step);
    }
    say!("{}", results.table().trim_end());
    say!("training took {:.1} s", outcome.train_seconds);
    say!("report: {}", run.file("report.html").display());
    say!("run folder: {}", run.path().display());
}
