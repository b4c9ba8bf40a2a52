//! The report of a language model.

use super::generate::{Prompted, stream};
use super::{TextModel, TextProblem};
use crate::config::Recipe;
use crate::outcome::Results;
use anyhow::Result;
use maxlik_nn::decode::{Choice, Sampling};
use maxlik_tensor::with_seed;
use maxlik_train::Run;
use maxlik_train::report::{Block, Report, Section, configuration, curves, environment};

/// Tokens of a sample in the report.
const TOKENS: i64 = 400;

pub(super) fn write(
    recipe: &Recipe,
    problem: &TextProblem,
    model: &TextModel,
    run: &Run,
    results: &Results,
) -> Result<()> {
    let subtitle = format!(
        "text · {} training, {} validation, {} test rows of {} tokens · {} different tokens · {} parameters",
        problem.train.tokens.nrows(),
        problem.validation.tokens.nrows(),
        problem.test.tokens.nrows(),
        problem.train.tokens.ncols() - 1,
        problem.tokenizer.vocabulary(),
        model.params.count()
    );
    let mut report = Report::new(&recipe.name, &subtitle);
    for line in results.lines.iter().take(3) {
        let note = line.error.map_or(String::new(), |error| format!("± {error:.4}"));
        report = report.tile(&line.label, &format!("{:.4}", line.value), &note);
    }
    let rows = results.lines.iter().map(|line| {
        let error = line.error.map_or(String::new(), |error| format!("{error:.4}"));
        [line.label.clone(), format!("{:.4}", line.value), error]
    });
    let numbers = Section::new("Results")
        .with(Block::table(["", "value", "standard error"], rows.collect()))
        .with(Block::Text(results.note.clone()));
    let levels: Vec<(&str, f64)> = results
        .lines
        .iter()
        .filter(|line| line.key == "bigram_nats")
        .map(|line| ("counts of pairs", line.value))
        .collect();
    let report = report
        .section(samples(recipe, problem, model, run)?)
        .section(numbers)
        .section(curves(run, "NLL", "nats per token", &levels)?)
        .section(configuration(run)?)
        .section(environment(run)?);
    run.write("report.html", report.html().as_bytes())?;
    Ok(())
}

/// Text at two temperatures, also in `samples.txt`.
fn samples(
    recipe: &Recipe,
    problem: &TextProblem,
    model: &TextModel,
    run: &Run,
) -> Result<Section> {
    let mut section = Section::new("Samples");
    let mut kept = String::new();
    for temperature in [1.0, 0.7] {
        let choice = Choice::Sample(Sampling { temperature, ..Sampling::default() });
        let prompted =
            Prompted { prompt: String::new(), tokens: TOKENS, choice, seed: recipe.seed };
        let mut text = String::new();
        with_seed(recipe.seed, || {
            stream(problem, model, &prompted, |piece| {
                text.push_str(piece);
                true
            })
        })?;
        kept.push_str(&format!("{text}\n--\n"));
        section = section.with(Block::Code {
            summary: format!("from the beginning, temperature {temperature}"),
            text,
        });
    }
    run.write("samples.txt", kept.as_bytes())?;
    Ok(section)
}
