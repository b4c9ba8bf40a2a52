//! `cargo xtask doc`: the crates' documentation and the links of the pages.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::build::Build;
use crate::device::Device;
use crate::links;
use crate::shell;
use crate::workspace::Workspace;

/// Runs the command.
///
/// # Errors
/// When LibTorch cannot be set up, rustdoc warns, or a link leads nowhere.
pub fn run(workspace: &Workspace) -> Result<ExitCode> {
    let pages = pages(workspace)?;
    let mut broken = Vec::new();
    for page in &pages {
        broken.extend(links::broken(page)?);
    }
    for link in &broken {
        say!("FAIL  {link}");
    }
    if !broken.is_empty() {
        bail!("{} links of the pages lead nowhere", broken.len());
    }
    say!("ok    links of {} pages", pages.len());
    let build = Build::prepare(workspace, Device::Cpu)?;
    let mut command = build.cargo();
    command.args(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings");
    let status = shell::status(&mut command)?;
    if !status.success() {
        bail!("rustdoc found faults; see above");
    }
    let index = build.results().join("doc");
    say!("ok    documentation in {}", workspace.shown(&index));
    Ok(ExitCode::SUCCESS)
}

/// The Markdown pages of the root, of docs/ and of the crates.
fn pages(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for (folder, depth) in [("", 0), ("docs", 9), ("crates", 1), ("benches", 9)] {
        collect(&workspace.path(folder), depth, &mut pages)?;
    }
    pages.sort();
    Ok(pages)
}

fn collect(folder: &std::path::Path, depth: usize, pages: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, pages)?;
        } else if path.extension().is_some_and(|end| end == "md") {
            pages.push(path);
        }
    }
    Ok(())
}
