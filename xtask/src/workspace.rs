//! Where things are.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::libtorch::Variant;
use crate::shell;

/// The workspace's folder and the paths that commands share.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace that this program belongs to.
    ///
    /// # Errors
    /// When xtask's folder has no parent, which a checkout always has.
    pub fn here() -> Result<Self> {
        // Cargo sets the variable at run time; the value of compile time serves a binary started by hand.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .with_context(|| format!("{} is not inside a workspace", manifest.display()))?;
        Ok(Self::at(root))
    }

    /// A workspace at `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder of the root `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `relative` under the root.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// The folder that set-up owns.
    #[must_use]
    pub fn libtorch(&self) -> PathBuf {
        self.path(".libtorch")
    }

    /// Where builds look for a LibTorch: a folder, or a link to one.
    #[must_use]
    pub fn home(&self, variant: Variant) -> PathBuf {
        self.libtorch().join(variant.name())
    }

    /// `path` as a person would name it: relative to the root where it is inside.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// A cargo command that runs in the root.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// `cargo metadata` of the members, dependencies left out.
    ///
    /// # Errors
    /// When cargo fails or prints something else.
    pub fn metadata(&self) -> Result<Value> {
        let mut command = self.cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = shell::output(&mut command)?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", shell::last_line(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")
    }
}
