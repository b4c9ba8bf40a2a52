//! `train`, `eval`, `sample` and the other commands of the binary `maxlik`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::build::Build;
use crate::device::Device;
use crate::workspace::Workspace;

/// Builds `maxlik` for the device in `arguments` and becomes `maxlik SUBCOMMAND ARGUMENTS`.
///
/// The process is replaced, not waited for: Ctrl-C and every other signal reach `maxlik` itself, once, and
/// its exit code is the command's.
///
/// # Errors
/// When set-up or the build fails, or the device is not known or not there. Otherwise it does not return.
pub fn maxlik(workspace: &Workspace, subcommand: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let device = Device::among(arguments)?;
    let binary = Build::prepare(workspace, device)?.maxlik()?;
    let error = Command::new(&binary).arg(subcommand).args(arguments).exec();
    Err(error).with_context(|| format!("{} could not be started", binary.display()))
}
