//! Which LibTorch is used: the first of `LIBTORCH`, the one in `.libtorch/`, a Python torch.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::check::{self, Fault};
use super::python::Python;
use super::{VERSION, Variant};
use crate::workspace::Workspace;

/// Who chose a LibTorch, which decides what cures its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The user's variable `LIBTORCH`.
    Variable,
    /// Set-up: `.libtorch/` holds it or a link to it.
    Folder,
}

impl Origin {
    /// What to do about a faulty one.
    #[must_use]
    pub fn cure(self, variant: Variant) -> String {
        match self {
            Self::Variable => format!(
                "unset LIBTORCH, or point it at a LibTorch {VERSION}{}",
                match variant {
                    Variant::Cpu => "",
                    Variant::Cuda => " with CUDA",
                }
            ),
            Self::Folder => format!("run `{}`", variant.command()),
        }
    }
}

/// A LibTorch that passed the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The folder with `include/` and `lib/`.
    pub root: PathBuf,
    /// Who chose it.
    pub origin: Origin,
}

/// The user's own `LIBTORCH`. The workspace's `.cargo/config.toml` sets the variable too, to `.libtorch/cpu`,
/// where the user has not; that value is nobody's wish.
#[must_use]
pub fn variable(workspace: &Workspace) -> Option<PathBuf> {
    let value = PathBuf::from(env::var_os("LIBTORCH").filter(|value| !value.is_empty())?);
    chosen(workspace, value)
}

/// `value`, unless it names the default folder.
fn chosen(workspace: &Workspace, value: PathBuf) -> Option<PathBuf> {
    let default = workspace.home(Variant::Cpu);
    // Compared by parents: the folder itself may be a link, and a LIBTORCH that names its target is a choice.
    let real = |path: &Path| {
        let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
        parent.zip(path.file_name().map(ToOwned::to_owned))
    };
    let same = value == default || (real(&value).is_some() && real(&value) == real(&default));
    (!same).then_some(value)
}

/// The place that decides, whether or not anything is there.
#[must_use]
pub fn place(workspace: &Workspace, variant: Variant, variable: Option<&Path>) -> Home {
    match variable {
        Some(root) => Home {
            root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()),
            origin: Origin::Variable,
        },
        None => Home { root: workspace.home(variant), origin: Origin::Folder },
    }
}

/// A sound LibTorch that is already there; `None` where set-up has to find or install one.
///
/// # Errors
/// When the user's own `LIBTORCH` is faulty: it is never passed over silently.
pub fn ready(
    workspace: &Workspace,
    variant: Variant,
    variable: Option<&Path>,
) -> Result<Option<Home>> {
    let home = place(workspace, variant, variable);
    match check::sound(&home.root, variant) {
        Ok(()) => Ok(Some(home)),
        Err(fault) if home.origin == Origin::Variable => {
            bail!("LIBTORCH cannot be used: {fault}; {}", home.origin.cure(variant))
        }
        Err(_) => Ok(None),
    }
}

/// What came of asking Python for a torch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InPython {
    /// Python has none, or there is no Python.
    None,
    /// It has one that serves.
    Usable(PathBuf),
    /// It has one that does not serve.
    Refused(Fault),
}

/// The torch of the machine's Python, checked to the end: version, files, ABI, and that it loads.
#[must_use]
pub fn in_python(python: Option<&Python>, variant: Variant) -> InPython {
    let Some(root) = python.and_then(Python::torch) else {
        return InPython::None;
    };
    // The version first: that another version lacks a file is no news.
    match check::version(&root).and_then(|_| check::works(&root, variant)) {
        Ok(()) => InPython::Usable(root),
        Err(fault) => InPython::Refused(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_folder_is_not_a_choice() {
        let temporary = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(temporary.path());
        std::fs::create_dir(workspace.libtorch()).unwrap();
        let default = workspace.home(Variant::Cpu);
        assert_eq!(chosen(&workspace, default), None);
        let roundabout = temporary.path().join(".libtorch/../.libtorch/cpu");
        assert_eq!(chosen(&workspace, roundabout), None);
        let other = temporary.path().join("other");
        assert_eq!(chosen(&workspace, other.clone()), Some(other));
    }
}
