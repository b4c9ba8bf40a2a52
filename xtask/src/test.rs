//! `cargo xtask test`: every test and doctest, and one closing line.

use std::io::{BufRead as _, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::build::Build;
use crate::cli;
use crate::shell;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Runs the command; its exit code is cargo's.
///
/// # Errors
/// When set-up fails, or the whole workspace ran no test at all.
pub fn run(workspace: &Workspace, options: &cli::Test) -> Result<ExitCode> {
    let start = Instant::now();
    let build = Build::prepare(workspace, options.device.parse()?)?;
    let mut command = build.cargo();
    command.args(["test", "--no-fail-fast"]);
    let chosen = |argument: &std::ffi::OsString| {
        let argument = argument.to_string_lossy();
        argument.starts_with("-p") || argument.starts_with("--package")
    };
    if !options.rest.iter().any(chosen) {
        command.arg("--workspace");
    }
    let mut child = command
        .args(&options.rest)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| shell::start_error("cargo", error))?;
    let output = child.stdout.take().context("no standard output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        say!("{line}");
        tally.add(&line);
    }
    let status = child.wait()?;
    if status.success() && options.rest.is_empty() && tally == Tally::default() {
        bail!("cargo test ran no test");
    }
    say!("\ntook {:.0} s", start.elapsed().as_secs_f64());
    say!("tests: {} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    Ok(shell::exit_code(status))
}
