//! `cargo xtask setup`: the right LibTorch at `.libtorch/cpu` or `.libtorch/cuda`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cli;
use crate::device::Driver;
use crate::libtorch::find::{self, Home, InPython, Origin};
use crate::libtorch::lock::Lock;
use crate::libtorch::python::Python;
use crate::libtorch::{VERSION, Variant, check, install};
use crate::workspace::Workspace;

/// Runs the command.
///
/// # Errors
/// When no usable LibTorch is found and none can be installed; says why and what to do.
pub fn run(workspace: &Workspace, options: &cli::Setup) -> Result<ExitCode> {
    let variant = if options.cuda { Variant::Cuda } else { Variant::Cpu };
    if let Some(path) = &options.libtorch {
        adopt(workspace, variant, path)?;
        report(workspace, variant, &workspace.home(variant));
        return Ok(ExitCode::SUCCESS);
    }
    let variable = find::variable(workspace);
    if let Some(root) = variable.as_deref() {
        let home = find::place(workspace, variant, Some(root));
        if let Err(fault) = check::works(&home.root, variant) {
            bail!("LIBTORCH cannot be used: {fault}; {}", home.origin.cure(variant));
        }
        // So that builds without the variable find it too, unless there is one of their own.
        let default = workspace.home(variant);
        if check::sound(&default, variant).is_err() {
            let _lock = Lock::take(&workspace.libtorch())?;
            install::link(workspace, variant, &home.root)?;
        }
        report(workspace, variant, &home.root);
        return Ok(ExitCode::SUCCESS);
    }
    let home = workspace.home(variant);
    if check::works(&home, variant).is_err() {
        if variant == Variant::Cuda && !options.without_driver {
            let cure = "to install it for another machine, add --without-driver";
            Driver::find().check().map_err(|error| anyhow!("{error}; {cure}"))?;
        }
        find_or_install(workspace, variant)?;
    }
    report(workspace, variant, &home);
    Ok(ExitCode::SUCCESS)
}

/// The LibTorch that other commands build with; set up first where it is missing.
///
/// # Errors
/// As [`run`]; for CUDA also when this machine has no driver for it.
pub fn ensure(workspace: &Workspace, variant: Variant) -> Result<Home> {
    if variant == Variant::Cuda {
        Driver::find().check()?;
    }
    let variable = find::variable(workspace);
    if let Some(home) = find::ready(workspace, variant, variable.as_deref())? {
        return Ok(home);
    }
    say!("LibTorch is not set up yet; doing that first.");
    find_or_install(workspace, variant)?;
    let root = workspace.home(variant);
    report(workspace, variant, &root);
    Ok(Home { root, origin: Origin::Folder })
}

/// `--libtorch PATH`.
fn adopt(workspace: &Workspace, variant: Variant, path: &Path) -> Result<()> {
    let root = path
        .canonicalize()
        .with_context(|| format!("--libtorch {} cannot be opened", path.display()))?;
    check::works(&root, variant).context("--libtorch cannot be used")?;
    let _lock = Lock::take(&workspace.libtorch())?;
    install::link(workspace, variant, &root)
}

/// Links a Python torch, or downloads.
fn find_or_install(workspace: &Workspace, variant: Variant) -> Result<()> {
    let _lock = Lock::take(&workspace.libtorch())?;
    // Another set-up may have finished while this one waited.
    if check::works(&workspace.home(variant), variant).is_ok() {
        return Ok(());
    }
    install::sweep(workspace)?;
    let python = Python::find();
    match find::in_python(python.as_ref(), variant) {
        InPython::Usable(root) => return install::link(workspace, variant, &root),
        InPython::Refused(fault) => say!("Python's torch is not used: {fault}"),
        InPython::None => {}
    }
    install::provision(workspace, variant, python.as_ref())?;
    if let Err(fault) = check::works(&workspace.home(variant), variant) {
        bail!("set-up ended, and yet {fault}");
    }
    Ok(())
}

fn report(workspace: &Workspace, variant: Variant, root: &Path) {
    let to = root.read_link().map(|to| format!(" -> {}", to.display())).unwrap_or_default();
    say!(
        "LibTorch {} ({}) is ready at {}{to}",
        check::version(root).unwrap_or_else(|_| VERSION.to_owned()),
        variant.name(),
        workspace.shown(root)
    );
}
