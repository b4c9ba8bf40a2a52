//! The command line, declared once.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// `cargo xtask COMMAND`.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Sets up LibTorch, trains, evaluates, tests and checks maxlik",
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command of `cargo xtask`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find LibTorch 2.13.0, or install it into .libtorch/
    Setup(Setup),
    /// Say what this machine has and lacks, and what to do about it
    Doctor,
    /// Train a recipe or a TOML file: NAME_OR_TOML [--set key=value]… [--device cpu|cuda|cuda:N] [--out DIR] [--resume]
    Train(PassedOn),
    /// Evaluate a run again: RUN
    Eval(PassedOn),
    /// Draw samples from a run: RUN -n N
    Sample(PassedOn),
    /// Write a run's report again: RUN
    Report(PassedOn),
    /// List the published systems that maxlik reproduces
    Systems(PassedOn),
    /// Reproduce published systems against their baselines: NAME…|--all [--seeds N] [--json FILE]
    Reproduce(PassedOn),
    /// Look at data as a recipe sees it
    Data(PassedOn),
    /// Run every test and doctest of the workspace
    Test(Test),
    /// Run the benches; with --peers the Python peers beside them
    Bench(Bench),
    /// Check format, clippy, dependency arrows and file lengths
    Lint,
    /// Build the documentation and check the links of the pages
    Doc,
}

/// Options of `setup`.
#[derive(Clone, Debug, Default, Args)]
pub struct Setup {
    /// Install the CUDA build into .libtorch/cuda, for `--device cuda`
    #[arg(long)]
    pub cuda: bool,
    /// Use the LibTorch in this folder (it has include/ and lib/)
    #[arg(long, value_name = "PATH")]
    pub libtorch: Option<PathBuf>,
    /// With --cuda: go on although this machine has no NVIDIA driver
    #[arg(long, requires = "cuda")]
    pub without_driver: bool,
}

/// Arguments for the binary `maxlik`, which knows what they mean. `--device` also chooses the build.
#[derive(Clone, Debug, Default, Args)]
pub struct PassedOn {
    /// Handed on to `maxlik`; see its own help after the first argument
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub rest: Vec<OsString>,
}

/// Options of `test`.
#[derive(Clone, Debug, Default, Args)]
pub struct Test {
    /// Build against this device's LibTorch and tell the tests by MAXLIK_DEVICE: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Handed on to `cargo test`, such as `-p maxlik-flows spline`
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub rest: Vec<OsString>,
}

/// Options of `bench`.
#[derive(Clone, Debug, Default, Args)]
pub struct Bench {
    /// Also run the Python peers of benches/peers and print the ratios
    #[arg(long)]
    pub peers: bool,
    /// Build against this device's LibTorch and tell the benches by MAXLIK_DEVICE: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Handed on to criterion, such as the name of a bench
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub rest: Vec<OsString>,
}
