//! The search order: the user's variable, `.libtorch/`, a Python torch.

use std::path::PathBuf;

use xtask::libtorch::find::{self, InPython, Origin};
use xtask::libtorch::python::Python;
use xtask::libtorch::{VERSION, Variant};

use crate::fake::{self, Place};

#[test]
fn the_variable_comes_first() {
    let place = Place::new();
    let (own, workspace) = (place.path("own"), place.workspace());
    fake::libtorch(&own, VERSION);
    fake::libtorch(&workspace.home(Variant::Cpu), VERSION);
    let home = find::ready(&workspace, Variant::Cpu, Some(&own)).unwrap().unwrap();
    assert_eq!((home.root, home.origin), (own, Origin::Variable));
    let home = find::ready(&workspace, Variant::Cpu, None).unwrap().unwrap();
    assert_eq!((home.root, home.origin), (workspace.home(Variant::Cpu), Origin::Folder));
}

#[test]
fn a_faulty_variable_is_not_passed_over() {
    let place = Place::new();
    let (own, workspace) = (place.path("own"), place.workspace());
    fake::libtorch(&own, "2.5.1");
    fake::libtorch(&workspace.home(Variant::Cpu), VERSION);
    let error = find::ready(&workspace, Variant::Cpu, Some(&own)).unwrap_err().to_string();
    assert!(error.contains("LibTorch 2.5.1, but 2.13.0 is needed"), "{error}");
    assert!(error.contains("unset LIBTORCH"), "{error}");
}

#[test]
fn a_faulty_folder_asks_for_set_up() {
    let place = Place::new();
    let workspace = place.workspace();
    assert_eq!(find::ready(&workspace, Variant::Cpu, None).unwrap(), None);
    fake::libtorch(&workspace.home(Variant::Cpu), "2.5.1");
    assert_eq!(find::ready(&workspace, Variant::Cpu, None).unwrap(), None);
}

#[test]
fn a_python_torch_serves_when_it_is_whole_and_of_the_version() {
    let place = Place::new();
    let torch = place.path("site-packages/torch");
    let program = place.path("python");
    let text =
        format!("#!/bin/sh\n[ \"$1\" = -c ] && echo '{}' || echo Python 3.11\n", torch.display());
    fake::program(&program, &text);
    let python = Python::at(program).unwrap();
    let search = || find::in_python(Some(&python), Variant::Cpu);

    let InPython::Refused(fault) = search() else { panic!("nothing is there yet") };
    assert!(fault.to_string().contains("does not tell its version"), "{fault}");
    fake::libtorch(&torch, "2.12.1");
    let InPython::Refused(fault) = search() else { panic!("another version") };
    assert!(fault.to_string().contains("LibTorch 2.12.1"), "{fault}");
    fake::libtorch(&torch, "2.13.0+cpu");
    assert_eq!(search(), InPython::Usable(torch));

    assert_eq!(find::in_python(None, Variant::Cpu), InPython::None);
    assert!(Python::at(PathBuf::from("/nowhere/python3")).is_none());
}
