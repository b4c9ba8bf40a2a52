//! `cargo xtask`: see `cargo xtask --help` and docs/xtask.md.
#![allow(clippy::print_stderr, reason = "errors go to the terminal")]

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::workspace::Workspace;
use xtask::{bench, doc, doctor, lint, run, setup, test};

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // One line, causes included: `what: why`.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::here()?;
    match command {
        Command::Setup(options) => setup::run(&workspace, &options),
        Command::Doctor => doctor::run(&workspace),
        Command::Train(arguments) => run::maxlik(&workspace, "train", &arguments.rest),
        Command::Eval(arguments) => run::maxlik(&workspace, "eval", &arguments.rest),
        Command::Sample(arguments) => run::maxlik(&workspace, "sample", &arguments.rest),
        Command::Report(arguments) => run::maxlik(&workspace, "report", &arguments.rest),
        Command::Systems(arguments) => run::maxlik(&workspace, "systems", &arguments.rest),
        Command::Reproduce(arguments) => run::maxlik(&workspace, "reproduce", &arguments.rest),
        Command::Data(arguments) => run::maxlik(&workspace, "data", &arguments.rest),
        Command::Test(options) => test::run(&workspace, &options),
        Command::Bench(options) => bench::run(&workspace, &options),
        Command::Lint => lint::run(&workspace),
        Command::Doc => doc::run(&workspace),
    }
}
