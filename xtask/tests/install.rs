//! Wheels become a LibTorch, and damaged ones do not.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use xtask::libtorch::install::unpack_cpu;
use xtask::libtorch::{Variant, check, unpack};

use crate::fake::{self, Place};

/// Unpadded URL-safe base 64 of the SHA-256 of each of `contents`, by Python, as a wheel's builder would.
fn digests(contents: &[&[u8]]) -> Vec<String> {
    const SCRIPT: &str = "\
import base64, hashlib, sys
for path in sys.argv[1:]:
    digest = hashlib.sha256(open(path, 'rb').read()).digest()
    print(base64.urlsafe_b64encode(digest).rstrip(b'=').decode())";
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT]);
    for (at, bytes) in contents.iter().enumerate() {
        let path = folder.path().join(at.to_string());
        fake::write(&path, bytes);
        command.arg(path);
    }
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    output.lines().map(str::to_owned).collect()
}

/// A wheel of `files` with a RECORD that is true, but for the file called `lie`.
fn wheel(place: &Place, name: &str, files: &[(&str, &[u8])], lie: &str) -> PathBuf {
    let contents: Vec<&[u8]> =
        files.iter().map(|(name, bytes)| if *name == lie { b"other" } else { *bytes }).collect();
    let (mut all, mut record) = (Vec::new(), String::new());
    for ((name, bytes), digest) in files.iter().zip(digests(&contents)) {
        record += &format!("{name},sha256={digest},{}\n", bytes.len());
        all.push(((*name).to_owned(), bytes.to_vec()));
    }
    let own = format!("{name}-1.dist-info/RECORD");
    record += &format!("{own},,\n");
    all.push((own, record.into_bytes()));
    let path = place.path(&format!("{name}-1-py3-none-any.whl"));
    fake::zip(&path, &all);
    path
}

fn torch(place: &Place, lie: &str) -> PathBuf {
    let library = fake::library();
    let files: [(&str, &[u8]); 9] = [
        ("torch/include/torch/csrc/api/include/torch/torch.h", b"x"),
        ("torch/include/ATen/ATen.h", b"x"),
        ("torch/include/c10/core/Device.h", b"x"),
        ("torch/lib/libc10.so", library),
        ("torch/lib/libtorch_cpu.so", library),
        ("torch/lib/libgomp.so.1", library),
        ("torch/lib/libtorch_cuda.so", b"large and not wanted"),
        ("torch/lib/libtorch.so", b"needs CUDA"),
        ("torch/nn.py", b"not wanted"),
    ];
    wheel(place, "torch", &files, lie)
}

#[test]
fn the_cpu_takes_what_it_needs_of_the_wheels() {
    let place = Place::new();
    let files: [(&str, &[u8]); 2] = [
        ("nvidia/cu13/lib/libcudart.so.13", fake::library()),
        ("nvidia/cu13/include/cuda.h", b"not wanted"),
    ];
    let runtime = wheel(&place, "nvidia_cuda_runtime", &files, "");
    let to = place.path("out");
    unpack_cpu(&torch(&place, ""), &[runtime], &to).unwrap();
    assert_eq!(check::works(&to, Variant::Cpu), Ok(()));
    let mut libraries: Vec<_> =
        fs::read_dir(to.join("lib")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    libraries.sort();
    let wanted = ["libc10.so", "libcudart.so.13", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"];
    assert_eq!(libraries, wanted);
    assert!(!to.join("nn.py").exists());
}

#[test]
fn a_file_that_is_not_as_recorded_is_refused() {
    let place = Place::new();
    let wheel = torch(&place, "torch/lib/libtorch_cpu.so");
    let error = unpack_cpu(&wheel, &[], &place.path("out")).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("torch/lib/libtorch_cpu.so") && text.contains("RECORD"), "{text}");
}

#[test]
fn a_file_that_leaves_its_folder_is_refused() {
    let place = Place::new();
    let path = place.path("evil.zip");
    fake::zip(&path, &[("../evil".to_owned(), b"x".to_vec())]);
    let mut zip = unpack::Zip::open(&path).unwrap();
    let error = zip.extract(&place.path("out"), None, |name| Some(name.into())).unwrap_err();
    assert!(error.to_string().contains("unsafe name"), "{error}");
    assert!(!place.path("evil").exists());
}
