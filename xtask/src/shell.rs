//! Other programs, run with errors that name them.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::process::{Command, ExitCode, ExitStatus, Output, Stdio};

use anyhow::{Result, anyhow};

/// Runs `command` to its end, output to the terminal.
///
/// # Errors
/// When it cannot be started.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    let name = name(command);
    command.status().map_err(|error| start_error(&name, error))
}

/// Runs `command` and keeps what it prints.
///
/// # Errors
/// When it cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    let name = name(command);
    command.stdin(Stdio::null()).output().map_err(|error| start_error(&name, error))
}

/// The first line that `program` prints when run with `arguments`; `None` where it is absent or fails.
#[must_use]
pub fn first_line(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = output(Command::new(program).args(arguments)).ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

/// The last line with content, for an error message.
#[must_use]
pub fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it printed nothing").trim().to_owned()
}

/// A child's exit status as ours; 128 + n where signal n ended it, as shells have it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;

    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The error for a program that did not start.
pub(crate) fn start_error(name: &str, error: std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        anyhow!("{name} is not installed or not in PATH")
    } else {
        anyhow::Error::new(error).context(format!("{name} could not be started"))
    }
}

/// The program's name without its folder.
pub(crate) fn name(command: &Command) -> String {
    let program = command.get_program();
    let path = std::path::Path::new(program);
    path.file_name().unwrap_or(program).to_string_lossy().into_owned()
}
