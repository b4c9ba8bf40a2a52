//! The command line.

use crate::commands::{self, Reproduction, Training};
use anyhow::Result;
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Trains generative models by likelihood, and evaluates, samples and reports them.
#[derive(Debug, Parser)]
#[command(name = "maxlik", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a recipe (see `systems`) or a TOML file; evaluate, sample, and write the run folder.
    Train {
        /// A recipe's name, or a .toml file.
        recipe: String,
        /// Change a key of the configuration, such as optim.steps=500.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
        /// cpu, cuda or cuda:N.
        #[arg(long, default_value = "cpu")]
        device: String,
        /// Folder of the run [default: runs/NAME-SEED].
        #[arg(long)]
        out: Option<PathBuf>,
        /// Go on with the run in that folder.
        #[arg(long)]
        resume: bool,
    },
    /// Evaluate a run, finished or not.
    Eval {
        /// The run's folder.
        run: PathBuf,
        /// cpu, cuda or cuda:N.
        #[arg(long, default_value = "cpu")]
        device: String,
    },
    /// Draw samples from a run, finished or not.
    Sample {
        /// The run's folder.
        run: PathBuf,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 100)]
        count: i64,
        /// Seed of the draws.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// cpu, cuda or cuda:N.
        #[arg(long, default_value = "cpu")]
        device: String,
    },
    /// Write the report of a run, finished or not.
    Report {
        /// The run's folder.
        run: PathBuf,
        /// cpu, cuda or cuda:N.
        #[arg(long, default_value = "cpu")]
        device: String,
    },
    /// Run the experiments that decide whether published systems are reproduced.
    Reproduce {
        /// Systems by name (see `systems`).
        names: Vec<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
        /// Number of seeds.
        #[arg(long, default_value_t = 3)]
        seeds: u64,
        /// Folder for pictures and sounds.
        #[arg(long, default_value = "runs/reproduce")]
        out: PathBuf,
        /// Write all results to this file.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Write what came out into this page; with --all, docs/systems.md unless said.
        #[arg(long, value_name = "FILE")]
        doc: Option<PathBuf>,
    },
    /// List the recipes and the published systems.
    Systems,
}

/// Runs the command; the result is the process' exit code.
///
/// # Errors
/// For anything that a person can mend.
pub fn run(arguments: &Arguments) -> Result<u8> {
    match &arguments.command {
        Command::Train { recipe, set, device, out, resume } => {
            let training =
                Training { recipe, overrides: set, device, out: out.as_deref(), resume: *resume };
            return Ok(u8::try_from(commands::train(&training)?).unwrap_or(1));
        }
        Command::Eval { run, device } => commands::eval(run, device)?,
        Command::Sample { run, count, seed, device } => {
            commands::sample(run, *count, *seed, device)?;
        }
        Command::Report { run, device } => commands::report(run, device)?,
        Command::Reproduce { names, all, seeds, out, json, doc } => {
            let (all, seeds, json) = (*all, *seeds, json.as_deref());
            let doc = doc.as_deref().or_else(|| all.then_some(Path::new("docs/systems.md")));
            return commands::reproduce(&Reproduction { names, all, seeds, out, json, doc });
        }
        Command::Systems => commands::systems(),
    }
    Ok(0)
}

/// Messages go to standard error: `RUST_LOG` chooses which, `info` and above by default.
pub fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}
