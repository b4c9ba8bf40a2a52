//! Training of a language model.

use super::measure::{measure, nll};
use super::{TextModel, TextProblem, report};
use crate::config::Recipe;
use anyhow::Result;
use maxlik_data::Stream;
use maxlik_model::{Batch, LanguageModel};
use maxlik_tensor::Error;
use maxlik_train::trainer::interrupt;
use maxlik_train::{Batches, Environment, Run, Status, Summary, Trainer};
use std::path::Path;
use tch::Device;

/// Shuffled rows, an epoch after the other.
#[derive(Debug)]
struct Rows<'a> {
    problem: &'a TextProblem,
    size: usize,
    order: Stream,
    device: Device,
    /// The epoch whose order is at hand.
    current: Option<(u64, Vec<usize>)>,
}

impl Batches for Rows<'_> {
    fn batch(&mut self, step: u64) -> maxlik_tensor::Result<Batch> {
        let per_epoch = self.per_epoch();
        let epoch = step / per_epoch;
        let count = self.problem.train.tokens.nrows();
        let stale = self.current.as_ref().is_none_or(|(known, _)| *known != epoch);
        if stale {
            let order = maxlik_data::permutation(count, &mut self.order.rng(epoch));
            self.current = Some((epoch, order));
        }
        let (_, order) =
            self.current.as_ref().ok_or_else(|| Error::config("data", "no rows are left"))?;
        let start = usize::try_from(step % per_epoch).unwrap_or(0) * self.size;
        TextProblem::batch(&self.problem.train, &order[start..start + self.size], self.device)
    }

    fn per_epoch(&self) -> u64 {
        (self.problem.train.tokens.nrows() / self.size) as u64
    }
}

/// Trains, evaluates and writes the run folder. Returns the process' exit code.
///
/// # Errors
/// For anything that a person can mend, in one line.
pub fn train(recipe: &Recipe, folder: &Path, resume: bool, device: Device) -> Result<i32> {
    let problem = TextProblem::load(recipe)?;
    let model = TextModel::build(recipe, &problem, device)?;
    let run = if resume { Run::resume(folder)? } else { Run::create(folder)? };
    run.write_config(recipe)?;
    run.write_environment(&Environment::collect(device))?;
    tracing::info!(
        "{}: {} training rows of {} tokens, {} different ones, {} parameters, run folder {}",
        recipe.name,
        problem.train.tokens.nrows(),
        problem.train.tokens.ncols() - 1,
        problem.tokenizer.vocabulary(),
        model.params.count(),
        folder.display()
    );
    let mut batches = Rows {
        problem: &problem,
        size: recipe.optim.batch.min(problem.train.tokens.nrows()).max(1),
        order: Stream::new(recipe.seed, "order"),
        device,
        current: None,
    };
    let validation = |_: &(dyn LanguageModel + 'static)| -> maxlik_tensor::Result<f64> {
        let found = nll(&model, &problem.validation);
        Ok(found.map_err(|error| Error::config("validation", format!("{error:#}")))?.mean)
    };
    let outcome = Trainer::new(
        model.model.as_ref(),
        model.objective.as_ref(),
        &model.params,
        &recipe.optim,
        recipe.seed,
    )
    .run(&run)
    .resume(resume)
    .validation(validation)
    .interrupt(interrupt::on_signal()?)
    .fit(&mut batches)?;
    if outcome.status == Status::Interrupted {
        say!("stopped after step {}; go on with --resume --out {}", outcome.step, folder.display());
        return Ok(interrupt::EXIT_CODE);
    }
    let results = measure(&problem, &model)?;
    run.write_summary(&Summary {
        name: recipe.name.clone(),
        seed: recipe.seed,
        steps: outcome.step,
        train_seconds: outcome.train_seconds,
        metrics: results.metrics(),
    })?;
    report::write(recipe, &problem, &model, &run, &results)?;
    say!("{}", results.table().trim_end());
    say!("training took {:.1} s", outcome.train_seconds);
    say!("report: {}", run.file("report.html").display());
    say!("run folder: {}", run.path().display());
    Ok(0)
}
