//! The command line.

use crate::commands::{self, Reproduction, Training};
use crate::text::Prompted;
use anyhow::Result;
use clap::{Parser, Subcommand};
use maxlik_nn::decode::{Choice, Sampling};
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
        /// How many [default: 100; 1 of text].
        #[arg(short = 'n', long)]
        count: Option<i64>,
        /// Of text: how it begins.
        #[arg(long)]
        prompt: Option<String>,
        /// Of text: most new tokens.
        #[arg(long, default_value_t = 500)]
        tokens: i64,
        /// Of text: logits are divided by it; 0 takes the most probable token.
        #[arg(long, default_value_t = 1.0)]
        temperature: f64,
        /// Of text: only so many of the most probable tokens.
        #[arg(long)]
        top_k: Option<i64>,
        /// Of text: only the most probable tokens of this mass together.
        #[arg(long)]
        top_p: Option<f64>,
        /// Seed of the draws.
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// cpu, cuda or cuda:N.
        #[arg(long, default_value = "cpu")]
        device: String,
    },
    /// Fetch a data set by an ordinary package client, check it, and unpack it.
    Data {
        /// Its name.
        name: String,
        /// Folder for it.
        #[arg(long, default_value = "data")]
        out: PathBuf,
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
        Command::Sample { run, count, prompt, tokens, temperature, top_k, top_p, seed, device } => {
            let sampling = Sampling { temperature: *temperature, top_k: *top_k, top_p: *top_p };
            let choice =
                if *temperature == 0.0 { Choice::Greedy {} } else { Choice::Sample(sampling) };
            let text = prompt.clone().unwrap_or_default();
            let prompted = Prompted { prompt: text, tokens: *tokens, choice, seed: *seed };
            commands::sample(run, *count, &prompted, prompt.is_some(), device)?;
        }
        Command::Data { name, out } => commands::data(name, out)?,
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
