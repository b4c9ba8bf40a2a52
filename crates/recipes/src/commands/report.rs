//! `maxlik report`, and the report at the end of training.

use super::open;
use crate::config::Recipe;
use crate::model::Model;
use crate::outcome::{self, Results};
use crate::pictures;
use crate::problem::{Problem, Subject};
use crate::samples;
use crate::text;
use anyhow::Result;
use maxlik_tensor::device;
use maxlik_train::Run;
use maxlik_train::report::{Block, Figure, Report, Section, configuration, curves, environment};
use std::path::Path;

/// Samples that a report draws.
const SAMPLES: i64 = 3000;
/// Images that it shows.
const SHOWN: usize = 100;

/// Evaluates a run, finished or not, and writes its report.
///
/// # Errors
/// For a folder without a run or a checkpoint.
pub fn report(run: &Path, device: &str) -> Result<()> {
    let device = device::parse(device)?;
    if let Some(opened) = text::open(run, device)? {
        return opened.report();
    }
    let opened = open(run, device)?;
    let results = outcome::measure(&opened.recipe, &opened.problem, &opened.model)?;
    write_report(&opened.recipe, &opened.problem, &opened.model, &opened.run, &results)?;
    say!("{}", opened.run.file("report.html").display());
    Ok(())
}

/// Draws samples and writes them, the plots and `report.html`.
///
/// # Errors
/// Those of the model and of files that cannot be written.
pub(super) fn write_report(
    recipe: &Recipe,
    problem: &Problem,
    model: &Model,
    run: &Run,
    results: &Results,
) -> Result<()> {
    let drawn = samples::draw(problem, model, SAMPLES, recipe.seed)?;
    samples::write(run, problem, &drawn)?;
    let mut report = Report::new(&recipe.name, &subtitle(problem, model));
    for line in results.lines.iter().take(3) {
        let note = line.error.map_or(String::new(), |error| format!("± {error:.4}"));
        report = report.tile(&line.label, &format!("{:.4}", line.value), &note);
    }
    report = report.section(pictured(problem, model, run, &drawn)?).section(numbers(results));
    let levels: Vec<(&str, f64)> = results
        .lines
        .iter()
        .filter(|line| line.key == "entropy_nats")
        .map(|line| ("entropy of the truth", line.value))
        .collect();
    let report = report
        .section(curves(run, "NLL", "nats", &levels)?)
        .section(configuration(run)?)
        .section(environment(run)?);
    run.write("report.html", report.html().as_bytes())?;
    Ok(())
}

fn subtitle(problem: &Problem, model: &Model) -> String {
    let parts = &problem.parts;
    format!(
        "{} · {} training, {} validation, {} test rows of {} numbers · {} parameters",
        parts.train.name(),
        parts.train.len(),
        parts.validation.len(),
        parts.test.len(),
        problem.dims(),
        model.params.count()
    )
}

fn numbers(results: &Results) -> Section {
    let rows = results.lines.iter().map(|line| {
        let error = line.error.map_or(String::new(), |error| format!("{error:.4}"));
        [line.label.clone(), format!("{:.4}", line.value), error]
    });
    Section::new("Results")
        .with(Block::table(["", "value", "standard error"], rows.collect()))
        .with(Block::Text(results.note.clone()))
}

fn pictured(
    problem: &Problem,
    model: &Model,
    run: &Run,
    drawn: &ndarray::Array2<f64>,
) -> Result<Section> {
    let section = Section::new("Samples");
    Ok(match &problem.subject {
        Subject::Images { .. } => {
            let real = problem.parts.test.rows().to_owned();
            let figure =
                |caption: &str, file: &str, rows: &ndarray::Array2<f64>| -> Result<Figure> {
                    let grid = pictures::grid(problem, rows, SHOWN)?;
                    run.write(&format!("plots/{file}.png"), &maxlik_train::plot::png(&grid)?)?;
                    Ok(Figure::ink(caption, &grid)?)
                };
            section.with(Block::Figures(vec![
                figure("samples of the model", "samples", drawn)?,
                figure("real images of the test part", "real", &real)?,
            ]))
        }
        Subject::Plane { truth } => {
            let svg = pictures::plane(problem, model, *truth, drawn)?;
            run.write("plots/density.svg", svg.as_bytes())?;
            section.with(Block::Figures(vec![Figure::svg("", svg)]))
        }
        Subject::Table => {
            let mut figures = Vec::new();
            for (i, (caption, svg)) in pictures::pairs(problem, drawn)?.into_iter().enumerate() {
                run.write(&format!("plots/pair-{i}.svg"), svg.as_bytes())?;
                figures.push(Figure::svg(&caption, svg));
            }
            section.with(Block::Figures(figures))
        }
    })
}
