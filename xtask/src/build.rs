//! Cargo, with the LibTorch that a device needs.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::device::Device;
use crate::libtorch::Variant;
use crate::libtorch::find::{Home, Origin};
use crate::setup;
use crate::shell;
use crate::workspace::Workspace;

/// A build against one LibTorch.
#[derive(Clone, Debug)]
pub struct Build {
    workspace: Workspace,
    home: Home,
    device: Device,
}

impl Build {
    /// Makes sure that the LibTorch for `device` is there.
    ///
    /// # Errors
    /// When it cannot be set up, or the machine lacks the device's driver.
    pub fn prepare(workspace: &Workspace, device: Device) -> Result<Self> {
        Ok(Self {
            workspace: workspace.clone(),
            home: setup::ensure(workspace, device.variant())?,
            device,
        })
    }

    /// A cargo command that builds for the device, and tells tests and benches of it by `MAXLIK_DEVICE`.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut command = self.workspace.cargo();
        command.env("MAXLIK_DEVICE", self.device.to_string());
        match (self.home.origin, self.device.variant()) {
            // As plain cargo has it from .cargo/config.toml, so that both share one build.
            (Origin::Folder, Variant::Cpu) => command.env_remove("LIBTORCH"),
            _ => command.env("LIBTORCH", &self.home.root),
        };
        match self.device.variant() {
            Variant::Cpu => command.env_remove("MAXLIK_CUDA"),
            // A folder of its own: CPU and CUDA builds would otherwise evict each other.
            Variant::Cuda => {
                command.env("MAXLIK_CUDA", "1").env("CARGO_TARGET_DIR", self.target().join("cuda"))
            }
        };
        command
    }

    /// The target directory that plain cargo uses.
    fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(
            || self.workspace.path("target"),
            |folder| std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
        )
    }

    /// The folder with the results of the build.
    #[must_use]
    pub fn results(&self) -> PathBuf {
        match self.device.variant() {
            Variant::Cpu => self.target(),
            Variant::Cuda => self.target().join("cuda"),
        }
    }

    /// Builds the binary `maxlik` in release and returns its path. Cargo's own progress goes to the terminal.
    ///
    /// # Errors
    /// When the build fails.
    pub fn maxlik(&self) -> Result<PathBuf> {
        let mut command = self.cargo();
        command
            .args(["build", "--release", "-p", "maxlik-recipes", "--bin", "maxlik"])
            .arg("--message-format=json-render-diagnostics")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = command.output().map_err(|error| shell::start_error("cargo", error))?;
        if !output.status.success() {
            bail!("maxlik was not built; see cargo's message above");
        }
        executable(&String::from_utf8_lossy(&output.stdout), "maxlik")
            .context("cargo built no binary called maxlik")
    }
}

/// The executable called `name` in cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let path = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == name).then_some(())?;
        Some(PathBuf::from(message["executable"].as_str()?))
    };
    messages.lines().rev().find_map(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"maxlik"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"maxlik"},"executable":"/t/release/maxlik"}
{"reason":"build-finished","success":true}"#;
        let path = executable(messages, "maxlik");
        assert_eq!(path, Some(PathBuf::from("/t/release/maxlik")));
        assert_eq!(executable(messages, "other"), None);
    }
}
