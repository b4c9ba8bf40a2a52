//! `cargo xtask bench`: criterion's benches, and with `--peers` the Python peers beside them.
//!
//! A peer is a script `benches/peers/*.py` that prints one JSON object a line,
//! `{"bench": "group/name", "peer": "library", "seconds": 0.0123}`, where `bench` is the name of the criterion bench
//! that does the same work. Other lines it prints are shown.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::build::Build;
use crate::cli;
use crate::libtorch::python::Python;
use crate::shell;
use crate::workspace::Workspace;

/// Runs the command.
///
/// # Errors
/// When set-up, a bench or a peer fails.
pub fn run(workspace: &Workspace, options: &cli::Bench) -> Result<ExitCode> {
    let build = Build::prepare(workspace, options.device.parse()?)?;
    let benches = benches(&workspace.metadata()?);
    if benches.is_empty() {
        bail!("the workspace has no benches");
    }
    for (package, bench) in &benches {
        let mut command = build.cargo();
        command.args(["bench", "-p", package, "--bench", bench, "--"]);
        let status = shell::status(command.args(&options.rest))?;
        if !status.success() {
            return Ok(shell::exit_code(status));
        }
    }
    if options.peers {
        let results = build.results().join("criterion");
        peers(workspace, &results, options)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Package and name of every bench target.
fn benches(metadata: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        for target in package["targets"].as_array().into_iter().flatten() {
            let kinds = target["kind"].as_array().into_iter().flatten();
            let names = package["name"].as_str().zip(target["name"].as_str());
            if let (true, Some((package, name))) = (kinds.into_iter().any(|k| k == "bench"), names)
            {
                found.push((package.to_owned(), name.to_owned()));
            }
        }
    }
    found
}

/// What a peer measured.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    bench: String,
    peer: String,
    seconds: f64,
}

fn peers(workspace: &Workspace, criterion: &Path, options: &cli::Bench) -> Result<()> {
    let folder = workspace.path("benches/peers");
    let python = environment(workspace, &folder.join("requirements.txt"))?;
    let mut scripts: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("{} cannot be read", workspace.shown(&folder)))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "py"))
        .collect();
    scripts.sort();
    let mut measured = Vec::new();
    for script in &scripts {
        say!("running {}", workspace.shown(script));
        let mut command = Command::new(&python);
        command.arg(script).current_dir(workspace.root()).env("MAXLIK_DEVICE", &options.device);
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| shell::start_error("python", error))?;
        if !output.status.success() {
            bail!("{} failed; see above", workspace.shown(script));
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            match parse(line) {
                Some(result) => measured.push(result),
                None => say!("{line}"),
            }
        }
    }
    say!("\n{:<40} {:>12} {:>12} {:>8}  peer", "bench", "maxlik (ms)", "peer (ms)", "ratio");
    for result in &measured {
        let Some(ours) = mean_seconds(criterion, &result.bench) else {
            // Where criterion was told to run some benches only, the others have no measurement.
            if options.rest.is_empty() {
                bail!("{} measured {}, which is no bench of ours", result.peer, result.bench);
            }
            continue;
        };
        say!(
            "{:<40} {:>12.3} {:>12.3} {:>8.2}  {}",
            result.bench,
            ours * 1e3,
            result.seconds * 1e3,
            result.seconds / ours,
            result.peer
        );
    }
    say!("ratio: the peer's time over maxlik's; above 1 maxlik is faster");
    Ok(())
}

/// A virtual environment with the pinned peers, in `.peers/`; made again when the pins change.
fn environment(workspace: &Workspace, requirements: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("{} cannot be read", workspace.shown(requirements)))?;
    let folder = workspace.path(".peers");
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let system = Python::find().context("python3 is not installed; the peers need it")?;
    say!("installing the peers into .peers/");
    let mut venv = system.command();
    venv.args(["-m", "venv"]).arg(&folder);
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .arg("--requirement")
        .arg(requirements);
    for (command, what) in [(&mut venv, "python3 -m venv"), (&mut pip, "pip install")] {
        if !shell::status(command)?.success() {
            bail!("{what} failed; see above");
        }
    }
    fs::write(&installed, wanted)?;
    Ok(python)
}

fn parse(line: &str) -> Option<Measured> {
    let value: Value = serde_json::from_str(line).ok()?;
    Some(Measured {
        bench: value["bench"].as_str()?.to_owned(),
        peer: value["peer"].as_str()?.to_owned(),
        seconds: value["seconds"].as_f64()?,
    })
}

/// Criterion's estimate of the mean of the bench called `name`, from its newest measurement.
fn mean_seconds(criterion: &Path, name: &str) -> Option<f64> {
    let path = criterion.join(name).join("new/estimates.json");
    let value: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    Some(value["mean"]["point_estimate"].as_f64()? * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_line_is_read_and_others_are_not() {
        let line = r#"{"bench": "digits/step", "peer": "zuko 1.4", "seconds": 0.5}"#;
        let result = parse(line).unwrap();
        assert_eq!((result.bench.as_str(), result.seconds), ("digits/step", 0.5));
        assert_eq!(parse("warming up"), None);
        assert_eq!(parse(r#"{"bench": "x"}"#), None);
    }

    #[test]
    fn criterions_mean_is_in_nanoseconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("digits/step/new");
        fs::create_dir_all(&path).unwrap();
        let text = r#"{"mean": {"point_estimate": 2500000.0}}"#;
        fs::write(path.join("estimates.json"), text).unwrap();
        let mean = mean_seconds(folder.path(), "digits/step").unwrap();
        assert!((mean - 0.0025).abs() < 1e-12);
        assert_eq!(mean_seconds(folder.path(), "other"), None);
    }
}
