//! Each way in which a LibTorch can be unusable is told apart.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use xtask::libtorch::{Variant, check};

use crate::fake;

/// The fault of a LibTorch that `spoil` has worked on.
#[track_caller]
fn fault(spoil: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("torch");
    fake::libtorch(&root, "2.13.0+cpu\n");
    assert_eq!(check::works(&root, Variant::Cpu), Ok(()));
    spoil(&root);
    check::works(&root, Variant::Cpu).unwrap_err().to_string()
}

#[test]
fn missing() {
    let text = fault(|root| fs::remove_dir_all(root).unwrap());
    assert!(text.ends_with("torch is not there"), "{text}");
    let text = fault(|root| {
        fs::remove_dir_all(root).unwrap();
        symlink("/nowhere", root).unwrap();
    });
    assert!(text.contains("a link to /nowhere, which is not there"), "{text}");
}

#[test]
fn wrong_version_wherever_it_is_told() {
    let by_file = fault(|root| fake::write(&root.join("build-version"), b"2.5.1+cu121\n"));
    assert!(by_file.contains("is LibTorch 2.5.1+cu121, but 2.13.0 is needed"), "{by_file}");
    let by_python = fault(|root| {
        fs::remove_file(root.join("build-version")).unwrap();
        fake::write(&root.join("version.py"), b"x = 1\n__version__ = '2.12.0+cpu'\n");
    });
    assert!(by_python.contains("LibTorch 2.12.0+cpu"), "{by_python}");
    let header = |minor: u32| {
        format!(
            "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR {minor}\n#define TORCH_VERSION_PATCH 0\n"
        )
    };
    let by_header = fault(|root| {
        fs::remove_file(root.join("build-version")).unwrap();
        fake::write(&root.join("include/torch/headeronly/version.h"), header(11).as_bytes());
    });
    assert!(by_header.contains("LibTorch 2.11.0"), "{by_header}");
    let untold = fault(|root| fs::remove_file(root.join("build-version")).unwrap());
    assert!(untold.contains("does not tell its version"), "{untold}");
}

#[test]
fn half_installed() {
    let lacking = fault(|root| fs::remove_file(root.join("lib/libtorch_cpu.so")).unwrap());
    assert!(lacking.contains("it lacks lib/libtorch_cpu.so"), "{lacking}");
    let cut = fault(|root| {
        let bytes = fake::library();
        fake::write(&root.join("lib/libtorch_cpu.so"), &bytes[..bytes.len() - 1]);
    });
    assert!(cut.contains("libtorch_cpu.so is damaged"), "{cut}");
    let empty = fault(|root| fake::write(&root.join("lib/libc10.so"), b""));
    assert!(empty.contains("libc10.so is damaged"), "{empty}");
}

#[test]
fn no_cuda_where_cuda_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    fake::libtorch(folder.path(), "2.13.0");
    let fault = check::sound(folder.path(), Variant::Cuda).unwrap_err().to_string();
    assert!(fault.contains("it lacks lib/libc10_cuda.so, lib/libtorch_cuda.so"), "{fault}");
}

#[test]
fn old_abi() {
    let plain = fake::compile("extern \"C\" int mark() { return 1; }", &[]);
    let text = fault(|root| fake::write(&root.join("lib/libc10.so"), &plain));
    assert!(text.contains("C++ ABI from before C++11"), "{text}");
}

#[test]
fn a_library_that_it_needs_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("libgone.so"), fake::library()).unwrap();
    let search = format!("-L{}", folder.path().display());
    let needs = fake::compile(
        "extern \"C\" const char *mark(); extern \"C\" const char *use() { return mark(); }",
        &[&search, "-lgone"],
    );
    let text = fault(|root| fake::write(&root.join("lib/libtorch_cpu.so"), &needs));
    assert!(text.contains("does not load: ") && text.contains("gone"), "{text}");
}
