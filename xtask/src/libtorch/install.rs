//! Puts a LibTorch into `.libtorch/`, in one step or not at all.
//!
//! `.libtorch/cpu` and `.libtorch/cuda` are links, to `cpu-2.13.0` or `cuda-2.13.0/torch` beside them, or to a
//! LibTorch elsewhere. Everything is put together under `.libtorch/.partial-*`, checked, written through to
//! the disk, renamed, and only then linked: an interrupted set-up leaves nothing that looks finished.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result, bail};

use super::python::Python;
use super::{VERSION, Variant, archive, check, unpack, wheels};
use crate::disk;
use crate::workspace::Workspace;

/// Disk space that a set-up needs at its peak, downloads included: measured, with a fifth to spare.
fn needed(variant: Variant) -> u64 {
    match variant {
        Variant::Cpu => 1_300_000_000,
        Variant::Cuda => 8_000_000_000,
    }
}

/// Makes `.libtorch/<variant>` a link to `target`, in one step.
///
/// # Errors
/// When something that is no link is in its place, or the link cannot be made.
pub fn link(workspace: &Workspace, variant: Variant, target: &Path) -> Result<()> {
    let home = workspace.home(variant);
    refuse_folder(workspace, variant)?;
    let partial = workspace.libtorch().join(".partial-link");
    if partial.is_symlink() {
        fs::remove_file(&partial)?;
    }
    symlink(target, &partial)
        .and_then(|()| fs::rename(&partial, &home))
        .with_context(|| format!("{} cannot be linked", workspace.shown(&home)))
}

/// A folder of the user's own in the link's place is never replaced.
fn refuse_folder(workspace: &Workspace, variant: Variant) -> Result<()> {
    let home = workspace.home(variant);
    if home.exists() && !home.is_symlink() {
        bail!(
            "{} is not made by set-up and cannot be used as it is; move it away, then run `{}`",
            workspace.shown(&home),
            variant.command()
        );
    }
    Ok(())
}

/// Removes what interrupted set-ups left, finished downloads excepted. The lock must be held.
///
/// # Errors
/// When something cannot be removed.
pub fn sweep(workspace: &Workspace) -> Result<()> {
    for entry in fs::read_dir(workspace.libtorch())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".partial-") {
            let path = entry.path();
            let removed = if entry.file_type()?.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.with_context(|| format!("{} cannot be removed", workspace.shown(&path)))?;
        }
    }
    Ok(())
}

/// Downloads and installs LibTorch, and links it. The lock must be held.
///
/// # Errors
/// When the machine is of another kind, has no Python with pip, no room, or no way to a download.
pub fn provision(workspace: &Workspace, variant: Variant, python: Option<&Python>) -> Result<()> {
    refuse_folder(workspace, variant)?;
    if (OS, ARCH) != ("linux", "x86_64") {
        bail!(
            "set-up downloads LibTorch for Linux on x86-64 only; on {OS} {ARCH} install LibTorch {VERSION} and run `cargo xtask setup --libtorch PATH`"
        );
    }
    let installed = installed(workspace, variant);
    if check::works(&torch_in(&installed, variant), variant).is_err() {
        let python = python.context(
            "python3 is not installed, and set-up downloads with it; install Python 3 with pip, or point LIBTORCH at a LibTorch",
        )?;
        require_room(&workspace.libtorch(), variant)?;
        let partial = assemble(workspace, variant, python)?;
        publish(workspace, &partial, &installed)?;
    }
    let name = installed.file_name().context("no folder name")?;
    link(workspace, variant, &torch_in(Path::new(name), variant))?;
    let downloads = folders(workspace).downloads;
    if downloads.exists() {
        fs::remove_dir_all(&downloads)?;
    }
    sweep(workspace)
}

/// The folder of an installed variant.
fn installed(workspace: &Workspace, variant: Variant) -> PathBuf {
    let name = format!("{}-{VERSION}", variant.name());
    workspace.libtorch().join(name)
}

/// Where LibTorch itself is in an installed folder. The CUDA build sits beside its NVIDIA libraries, as its
/// run path `$ORIGIN/../../nvidia` wants it.
fn torch_in(installed: &Path, variant: Variant) -> PathBuf {
    match variant {
        Variant::Cpu => installed.to_owned(),
        Variant::Cuda => installed.join("torch"),
    }
}

fn require_room(folder: &Path, variant: Variant) -> Result<()> {
    let needed = needed(variant);
    match disk::free(folder) {
        Some(free) if free < needed => bail!(
            "{} has {:.1} GB free, and set-up needs {:.1} GB",
            folder.display(),
            free as f64 / 1e9,
            needed as f64 / 1e9
        ),
        _ => Ok(()),
    }
}

/// Builds the variant's folder under `.partial-…`, checks it, and writes it through.
fn assemble(workspace: &Workspace, variant: Variant, python: &Python) -> Result<PathBuf> {
    let partial =
        workspace.libtorch().join(format!(".partial-{}-{}", variant.name(), process::id()));
    fs::create_dir_all(&partial)?;
    match variant {
        Variant::Cpu => assemble_cpu(workspace, &partial, python)?,
        Variant::Cuda => assemble_cuda(workspace, &partial, python)?,
    }
    check::works(&torch_in(&partial, variant), variant)
        .context("the LibTorch just unpacked does not pass the checks")?;
    unpack::sync(&partial)?;
    Ok(partial)
}

fn assemble_cpu(workspace: &Workspace, partial: &Path, python: &Python) -> Result<()> {
    let folders = folders(workspace);
    match archive::fetch(python, &archive::address(), &folders.downloads) {
        Ok(zip) => {
            return archive::unpack(&zip, partial).inspect_err(|_| {
                // A damaged download would be found finished again and again.
                let _ = fs::remove_file(&zip);
            });
        }
        Err(error) => say!(
            "The official archive is out of reach ({error:#}); taking LibTorch from the Python package index."
        ),
    }
    let torch = wheels::fetch(python, &wheels::TORCH, &folders)?;
    let mut linked = Vec::new();
    for wheel in &wheels::LINKED {
        linked.push(wheels::fetch(python, wheel, &folders)?);
    }
    unpack_cpu(&torch, &linked, partial)
}

/// Of PyTorch's wheel, what the CPU needs, and of `linked` the two libraries that it is linked with.
///
/// # Errors
/// When a wheel is damaged.
pub fn unpack_cpu(torch: &Path, linked: &[PathBuf], folder: &Path) -> Result<()> {
    wheels::unpack(torch, folder, |name| {
        let inside = name.strip_prefix("torch/")?;
        let wanted = inside.starts_with("include/")
            || matches!(inside, "lib/libtorch_cpu.so" | "lib/libc10.so" | "lib/libgomp.so.1");
        wanted.then(|| PathBuf::from(inside))
    })?;
    for wheel in linked {
        wheels::unpack(wheel, folder, |name| {
            let file = name.rsplit('/').next()?;
            matches!(file, "libcudart.so.13" | "libcupti.so.13")
                .then(|| Path::new("lib").join(file))
        })?;
    }
    // The wheel's libtorch.so is empty but for its requirements, the CUDA library among them.
    fs::write(folder.join("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n")?;
    fs::write(folder.join("build-version"), format!("{VERSION}\n"))?;
    Ok(())
}

fn assemble_cuda(workspace: &Workspace, partial: &Path, python: &Python) -> Result<()> {
    let folders = folders(workspace);
    let torch = wheels::fetch(python, &wheels::TORCH, &folders)?;
    let parts = wheels::fetch_cuda(python, &torch, &folders)?;
    wheels::unpack(&torch, partial, |name| {
        let library = name.starts_with("torch/lib/") && name.contains(".so");
        let python_only = name.ends_with("libtorch_python.so");
        let wanted = name.starts_with("torch/include/") || (library && !python_only);
        wanted.then(|| PathBuf::from(name))
    })?;
    fs::write(partial.join("torch/build-version"), format!("{VERSION}\n"))?;
    for wheel in &parts {
        let library = |name: &str| name.starts_with("nvidia/") && name.contains("/lib/");
        // Meta-packages hold nothing themselves.
        if unpack::Zip::open(wheel)?.names().iter().any(|name| library(name)) {
            wheels::unpack(wheel, partial, |name| library(name).then(|| PathBuf::from(name)))?;
        }
    }
    Ok(())
}

fn folders(workspace: &Workspace) -> wheels::Folders {
    wheels::Folders {
        // A pip that outlived a killed set-up must not write among this one's files.
        partial: workspace.libtorch().join(format!(".partial-pip-{}", process::id())),
        downloads: workspace.libtorch().join("downloads"),
    }
}

/// Gives the finished folder its name; a faulty one of that name goes first.
fn publish(workspace: &Workspace, partial: &Path, installed: &Path) -> Result<()> {
    if installed.exists() {
        let old = workspace.libtorch().join(".partial-old");
        fs::rename(installed, &old)?;
        fs::rename(partial, installed)?;
        fs::remove_dir_all(&old)?;
    } else {
        fs::rename(partial, installed)?;
    }
    fs::File::open(workspace.libtorch())?.sync_all()?;
    Ok(())
}
