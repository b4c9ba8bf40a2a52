//! `maxlik reproduce`.

use super::page;
use crate::systems::{Check, SYSTEMS, System};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The arguments of `maxlik reproduce`.
#[derive(Debug)]
pub struct Reproduction<'a> {
    /// Names of systems.
    pub names: &'a [String],
    /// Whether to run all of them.
    pub all: bool,
    /// Number of seeds, from zero on.
    pub seeds: u64,
    /// Folder of pictures and sounds.
    pub out: &'a Path,
    /// File for all results.
    pub json: Option<&'a Path>,
    /// Page of systems whose sections are written.
    pub doc: Option<&'a Path>,
}

/// What came out of one check over all seeds.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub(super) what: &'static str,
    pub(super) claim: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) baseline: Option<Reference>,
    results: Vec<f64>,
    pub(super) mean: f64,
    /// Largest minus smallest result.
    pub(super) spread: f64,
    pub(super) pass: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Reference {
    pub(super) name: &'static str,
    pub(super) mean: f64,
}

/// What came out of one system.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) claim: &'static str,
    pub(super) seeds: u64,
    pub(super) seconds: f64,
    pub(super) checks: Vec<Line>,
    pass: bool,
}

/// Runs the experiments, prints claim, baseline, result and spread, and returns the exit code: zero
/// only if every acceptance holds.
///
/// # Errors
/// For a name that no system has, no seeds, and what an experiment meets.
pub fn reproduce(arguments: &Reproduction<'_>) -> Result<u8> {
    reproduce_among(SYSTEMS, arguments)
}

/// As [`reproduce`], with these systems.
///
/// # Errors
/// As [`reproduce`].
pub fn reproduce_among(systems: &[System], arguments: &Reproduction<'_>) -> Result<u8> {
    let chosen = choose(systems, arguments.names, arguments.all)?;
    if arguments.seeds == 0 {
        bail!("--seeds: expected at least 1, got 0");
    }
    let mut outcomes = Vec::new();
    for system in chosen {
        let outcome = run(system, arguments.seeds, arguments.out)?;
        print(&outcome);
        outcomes.push(outcome);
        // After each: hours of experiments are not lost with the last of them.
        if let Some(path) = arguments.doc {
            page::write(path, &outcomes)?;
        }
    }
    let failed: usize =
        outcomes.iter().map(|o| o.checks.iter().filter(|line| !line.pass).count()).sum();
    let total: usize = outcomes.iter().map(|o| o.checks.len()).sum();
    if let Some(path) = arguments.json {
        let report = serde_json::json!({ "systems": outcomes, "pass": failed == 0 });
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)
            .with_context(|| path.display().to_string())?;
    }
    if failed == 0 {
        say!("reproduced: all {total} acceptances hold");
    } else {
        say!("not reproduced: {failed} of {total} acceptances do not hold");
    }
    Ok(u8::from(failed > 0))
}

fn choose<'a>(systems: &'a [System], names: &[String], all: bool) -> Result<Vec<&'a System>> {
    if all {
        return Ok(systems.iter().collect());
    }
    let known = || systems.iter().map(|system| system.name).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        bail!("which system? Name one or more of {}, or --all", known());
    }
    let find = |name: &String| {
        let found = systems.iter().find(|system| system.name == name);
        found.with_context(|| format!("no system is called {name:?}: expected {}", known()))
    };
    names.iter().map(find).collect()
}

fn run(system: &System, seeds: u64, out: &Path) -> Result<Outcome> {
    let start = Instant::now();
    let mut runs: Vec<Vec<Check>> = Vec::new();
    for seed in 0..seeds {
        let folder: PathBuf = out.join(format!("{}-{seed}", system.name));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let begun = Instant::now();
        let checks =
            (system.run)(seed, &folder).with_context(|| format!("{}, seed {seed}", system.name))?;
        tracing::info!(
            "{}, seed {seed}: {:.0} s, files in {}",
            system.name,
            begun.elapsed().as_secs_f64(),
            folder.display()
        );
        for check in &checks {
            tracing::info!("  {}: {:.4}", check.what, check.result);
        }
        runs.push(checks);
    }
    let lines = collect(&runs)?;
    Ok(Outcome {
        name: system.name,
        about: system.about,
        claim: system.claim,
        seeds,
        seconds: start.elapsed().as_secs_f64(),
        pass: lines.iter().all(|line| line.pass),
        checks: lines,
    })
}

/// One line for each check of the first seed; the other seeds have the same.
fn collect(runs: &[Vec<Check>]) -> Result<Vec<Line>> {
    let first = runs.first().map(Vec::as_slice).unwrap_or_default();
    let line = |(i, check): (usize, &Check)| {
        let same: Vec<&Check> = runs.iter().filter_map(|run| run.get(i)).collect();
        if same.len() != runs.len() || same.iter().any(|other| other.what != check.what) {
            bail!("a defect: the seeds of one system have different checks");
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let results: Vec<f64> = same.iter().map(|check| check.result).collect();
        let (low, high) = results
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let levels: Vec<f64> =
            same.iter().filter_map(|c| c.baseline.as_ref()).map(|b| b.value).collect();
        Ok(Line {
            what: check.what,
            claim: check.claim,
            baseline: check
                .baseline
                .as_ref()
                .map(|b| Reference { name: b.name, mean: mean(&levels) }),
            mean: mean(&results),
            spread: high - low,
            pass: same.iter().all(|check| check.pass),
            results,
        })
    };
    first.iter().enumerate().map(line).collect()
}

fn print(outcome: &Outcome) {
    say!("{}: {}", outcome.name, outcome.about);
    say!("claim: {}", outcome.claim);
    for line in &outcome.checks {
        let verdict = if line.pass { "ok  " } else { "FAIL" };
        say!("  {verdict} {}", line.what);
        let baseline = line
            .baseline
            .as_ref()
            .map_or_else(String::new, |b| format!("; {}: {:.4}", b.name, b.mean));
        say!(
            "       accepted: {}; result: {:.4}, spread {:.4}{baseline}",
            line.claim,
            line.mean,
            line.spread
        );
    }
    say!("  {} seeds, {:.0} s", outcome.seeds, outcome.seconds);
}
