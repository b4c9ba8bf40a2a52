//! The machine's Python: whether it has a torch, and its pip.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::shell;

/// Where torch is, without importing it (which takes seconds and may fail). The empty entry of the search
/// path is the current folder, where a folder of the user's called `torch` would be taken for the package.
const FIND_TORCH: &str = "\
import sys
sys.path = [p for p in sys.path if p]
import importlib.util, os
spec = importlib.util.find_spec('torch')
print(os.path.dirname(spec.origin) if spec and spec.origin else '')";

/// A Python 3 that runs.
#[derive(Clone, Debug)]
pub struct Python {
    program: PathBuf,
    /// As `python3 --version` gives it, such as `Python 3.11.7`.
    pub version: String,
}

impl Python {
    /// The Python of an active virtual environment, else `python3`; `None` where it does not run.
    #[must_use]
    pub fn find() -> Option<Self> {
        let program = if env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
        Self::at(PathBuf::from(program))
    }

    /// The Python that `program` starts; `None` where it does not run.
    #[must_use]
    pub fn at(program: PathBuf) -> Option<Self> {
        let version = shell::first_line(&program, &["--version"])?;
        Some(Self { program, version })
    }

    /// A command that runs this Python.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// The folder of its package torch, if it has one.
    #[must_use]
    pub fn torch(&self) -> Option<PathBuf> {
        let line = shell::first_line(&self.program, &["-c", FIND_TORCH])?;
        Some(PathBuf::from(line))
    }

    /// The first line of `pip --version`, if it has pip.
    #[must_use]
    pub fn pip(&self) -> Option<String> {
        let line = shell::first_line(&self.program, &["-m", "pip", "--version"])?;
        Some(line.split(" from ").next().unwrap_or(&line).to_owned())
    }
}
