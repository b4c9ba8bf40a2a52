//! `cargo xtask lint`: what can be checked without running anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::arrows;
use crate::build::Build;
use crate::device::Device;
use crate::shell;
use crate::workspace::Workspace;

/// Beyond this a file has more than one subject, or says why not.
const LONGEST: usize = 500;

/// Within these first lines a long file gives its reason: `// long: why`.
const REASON_WITHIN: usize = 10;

/// Runs every check, also after one has failed.
///
/// # Errors
/// When LibTorch cannot be set up (clippy compiles against it).
pub fn run(workspace: &Workspace) -> Result<ExitCode> {
    let build = Build::prepare(workspace, Device::Cpu)?;
    let checks: [(&str, &dyn Fn() -> Result<()>); 4] = [
        ("format", &|| cargo(&build, "cargo fmt", &["fmt", "--all", "--check"])),
        ("dependency arrows", &|| check_arrows(workspace)),
        ("file lengths", &|| check_lengths(workspace)),
        ("clippy", &|| {
            let arguments = ["clippy", "--workspace", "--all-targets", "--quiet"];
            let deny = ["--", "-D", "warnings"];
            cargo(&build, "cargo clippy", &[&arguments[..], &deny[..]].concat())
        }),
    ];
    let mut failed = 0;
    for (name, check) in checks {
        let start = Instant::now();
        let result = check();
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => say!("ok    {name} ({seconds:.1} s)"),
            Err(error) => {
                failed += 1;
                say!("FAIL  {name}: {error:#}");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} checks failed", checks.len());
    }
    Ok(ExitCode::SUCCESS)
}

fn cargo(build: &Build, name: &str, arguments: &[&str]) -> Result<()> {
    let status = shell::status(build.cargo().args(arguments))?;
    if !status.success() {
        bail!("{name} found faults; see above");
    }
    Ok(())
}

fn check_arrows(workspace: &Workspace) -> Result<()> {
    let page = workspace.path("docs/architecture.md");
    let text = fs::read_to_string(&page)
        .with_context(|| format!("{} cannot be read", workspace.shown(&page)))?;
    let actual = arrows::actual(&workspace.metadata()?)?;
    let forbidden = arrows::forbidden(&actual, &arrows::allowed(&text)?);
    if forbidden.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = forbidden.iter().map(ToString::to_string).collect();
    bail!("not in docs/architecture.md: {}", list.join(", "))
}

fn check_lengths(workspace: &Workspace) -> Result<()> {
    let long = too_long(workspace.root())?;
    if long.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = long
        .iter()
        .map(|(path, lines)| format!("{} has {lines} lines", workspace.shown(path)))
        .collect();
    bail!("{}; split it, or say why at its top: // long: reason", list.join(", "))
}

/// The source files under `folder` that are too long and give no reason. Hidden folders, build results and
/// run folders are left out.
///
/// # Errors
/// When a file cannot be read.
pub fn too_long(folder: &Path) -> Result<Vec<(PathBuf, usize)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "runs" {
                found.extend(too_long(&path)?);
            }
        } else if kind.is_file() && is_source(&name) {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("{} is not UTF-8 text", path.display()))?;
            let lines = text.lines().count();
            if lines > LONGEST && !gives_reason(&text) {
                found.push((path, lines));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_source(name: &str) -> bool {
    [".rs", ".cpp", ".h", ".py", ".sh"].iter().any(|end| name.ends_with(end))
}

fn gives_reason(text: &str) -> bool {
    text.lines().take(REASON_WITHIN).any(|line| {
        let comment = line.trim_start_matches(['/', '#', ' ']);
        comment.len() < line.len()
            && comment.strip_prefix("long:").is_some_and(|reason| !reason.trim().is_empty())
    })
}
