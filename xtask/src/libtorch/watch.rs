//! A download by another program, watched by the bytes that it has written.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::shell;

/// How a watched program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it said on standard error.
    pub complaint: Vec<u8>,
}

/// Runs `command`, hands each line of its output to `line`, and calls `tick` about ten times a second.
///
/// # Errors
/// When it cannot be started, or prints nothing for `patience`.
pub fn watch(
    command: &mut Command,
    patience: Option<Duration>,
    mut line: impl FnMut(&str),
    mut tick: impl FnMut(),
) -> Result<Ended> {
    let name = shell::name(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| shell::start_error(&name, error))?;
    let output = child.stdout.take().context("no standard output")?;
    let mut errors = child.stderr.take().context("no standard error")?;
    let complaint = thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read before a failure is what can be shown.
        let _ = errors.read_to_end(&mut bytes);
        bytes
    });
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for text in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    let start = Instant::now();
    let mut silent = true;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(text) => {
                silent = false;
                line(&text);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        tick();
        if silent && patience.is_some_and(|patience| start.elapsed() > patience) {
            child.kill().with_context(|| format!("{name} cannot be ended"))?;
            child.wait()?;
            anyhow::bail!("no answer in {} s", start.elapsed().as_secs());
        }
    }
    let status = child.wait()?;
    tick();
    Ok(Ended { status, complaint: complaint.join().unwrap_or_default() })
}
