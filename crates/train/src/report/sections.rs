//! Sections that every run has.

use super::{Block, Figure, Section};
use crate::disk::io;
use crate::plot::{LineChart, Series, Stroke};
use crate::run::{Environment, Run, key};
use maxlik_tensor::{Error, Result};

/// The curves of training and validation, learning rate and norm of gradients, which are also
/// written to `plots/`. `quantity` and `unit` name the loss, such as `NLL` and `nats`; `levels` are
/// horizontal lines to compare with.
///
/// # Errors
/// [`Error::Io`].
pub fn curves(run: &Run, quantity: &str, unit: &str, levels: &[(&str, f64)]) -> Result<Section> {
    let records = run.metrics()?;
    let points = |name: &str| -> Vec<(f64, f64)> {
        let values = records.iter().map(|r| (r.step as f64, r.values.get(name).copied()));
        values.filter_map(|(step, value)| Some((step, value?))).collect()
    };
    let series = |name: &str, points: Vec<(f64, f64)>, stroke| Series {
        name: name.to_owned(),
        points,
        stroke,
    };
    let validation = points(&key("validation", quantity));
    let best = validation.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    let label = if unit.is_empty() { quantity.to_owned() } else { format!("{quantity} ({unit})") };
    let own = key("train", quantity);
    let training = points(&own);
    let title = if training.is_empty() { "Validation" } else { "Training and validation" };
    let mut loss = LineChart::new(title, "step", &label);
    if !training.is_empty() {
        loss = loss.series(series("training", training, Stroke::Thin));
    }
    if let Some((step, _)) = best {
        loss = loss.series(series("validation", validation, Stroke::Dotted)).mark("best", step);
    }
    for (name, value) in levels {
        loss = loss.level(name, *value);
    }
    let small = |title: &str, label: &str, name: &str, stroke| {
        LineChart::new(title, "step", label)
            .series(series(label, points(name), stroke))
            .size(470.0, 250.0)
    };
    let rate = small("Learning rate", "learning rate", "lr", Stroke::Line);
    let norm = small("Norm of all gradients, before clipping", "norm", "grad_norm", Stroke::Thin);
    // A loss that is not what is validated has an axis of its own.
    let mut names = records.iter().flat_map(|record| record.values.keys());
    let other = names.find(|name| name.starts_with("train_") && **name != own).map(|name| {
        let title = name.trim_start_matches("train_").replace('_', " ");
        small("Training loss", &title, name, Stroke::Thin)
    });
    let figure = |file: &str, caption: &str, chart: &LineChart| -> Result<Figure> {
        let svg = chart.svg();
        run.write(&format!("plots/{file}.svg"), svg.as_bytes())?;
        Ok(Figure::svg(caption, svg))
    };
    let caption =
        "Training: mean over the steps since the point before. Validation: on held-out data.";
    let mut beside = vec![figure("learning-rate", "", &rate)?, figure("gradient-norm", "", &norm)?];
    if let Some(other) = &other {
        beside.insert(0, figure("training-loss", "", other)?);
    }
    Ok(Section::new("Training")
        .with(Block::Figures(vec![figure("loss", caption, &loss)?]))
        .with(Block::Figures(beside)))
}

/// The resolved configuration.
///
/// # Errors
/// [`Error::Io`].
pub fn configuration(run: &Run) -> Result<Section> {
    let path = run.config();
    let text = std::fs::read_to_string(&path).map_err(io(&path))?;
    Ok(Section::new("Configuration")
        .with(Block::Code { summary: "config.toml, with every default".to_owned(), text }))
}

/// Where and with what the run was made, from `environment.json`.
///
/// # Errors
/// [`Error::Io`], and [`Error::Corrupt`] for a file of another form.
pub fn environment(run: &Run) -> Result<Section> {
    let path = run.file("environment.json");
    let text = std::fs::read(&path).map_err(io(&path))?;
    let found: Environment =
        serde_json::from_slice(&text).map_err(|e| Error::Corrupt { path, why: e.to_string() })?;
    let unknown = || "unknown".to_owned();
    let rows = vec![
        ["maxlik".to_owned(), found.maxlik],
        ["LibTorch".to_owned(), found.libtorch],
        ["commit".to_owned(), found.git_commit.unwrap_or_else(unknown)],
        ["device".to_owned(), found.device],
        ["threads".to_owned(), found.threads.to_string()],
        ["CPU".to_owned(), found.cpu.unwrap_or_else(unknown)],
        ["cores".to_owned(), found.cores.to_string()],
        ["system".to_owned(), found.system],
        ["command".to_owned(), found.command.join(" ")],
    ];
    Ok(Section::new("Environment").with(Block::table(["", ""], rows)))
}
