//! Tests of the recipes: each loads, trains for a few steps, resumes, evaluates, samples and reports
//! by the binary, as a person would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod errors;
mod reproduce;
mod runs;

use std::path::Path;
use std::process::{Command, Output};

/// Runs `maxlik` in `folder`.
fn maxlik(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maxlik"));
    command.current_dir(folder).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
