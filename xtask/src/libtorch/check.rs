//! Whether a folder holds a LibTorch that maxlik can be built with.
//!
//! Each check answers with `Ok` or with a [`Fault`] that says what is wrong; what cures it depends on whose
//! folder it is, so the caller adds that.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{VERSION, Variant};
use crate::shell;

/// What is wrong with a LibTorch, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// What a build reads; a folder without one of these is half a LibTorch.
const NEEDED: [&str; 6] = [
    "include/torch/csrc/api/include/torch/torch.h",
    "include/ATen/ATen.h",
    "include/c10/core/Device.h",
    "lib/libc10.so",
    "lib/libtorch_cpu.so",
    "lib/libtorch.so",
];

/// Needed further by a CUDA build.
const NEEDED_BY_CUDA: [&str; 2] = ["lib/libc10_cuda.so", "lib/libtorch_cuda.so"];

/// Version, files and ABI, in that order: the first fault found. Takes milliseconds.
///
/// # Errors
/// The fault.
pub fn sound(root: &Path, variant: Variant) -> Result<(), Fault> {
    exists(root)?;
    files(root, variant)?;
    version(root)?;
    abi(root)
}

/// [`sound`], and every library that it needs is found and resolves. Takes a fraction of a second.
///
/// # Errors
/// The fault.
pub fn works(root: &Path, variant: Variant) -> Result<(), Fault> {
    sound(root, variant)?;
    loads(root, variant)
}

/// Whether `root` is a folder.
///
/// # Errors
/// When it is absent, a link to nowhere, or a file.
pub fn exists(root: &Path) -> Result<(), Fault> {
    if root.is_dir() {
        Ok(())
    } else if root.is_symlink() {
        let to = fs::read_link(root).unwrap_or_default();
        Err(Fault::new(format!(
            "{} is a link to {}, which is not there",
            root.display(),
            to.display()
        )))
    } else {
        Err(Fault::new(format!("{} is not there", root.display())))
    }
}

/// Whether the version is the one wanted; answers with the full version, such as `2.13.0+cpu`.
///
/// # Errors
/// When it is another or cannot be told.
pub fn version(root: &Path) -> Result<String, Fault> {
    let Some(version) = read_version(root) else {
        return Err(Fault::new(format!(
            "{} does not tell its version (no build-version, version.py or version.h)",
            root.display()
        )));
    };
    let plain = version.split('+').next().unwrap_or_default();
    if plain == VERSION {
        Ok(version)
    } else {
        Err(Fault::new(format!(
            "{} is LibTorch {version}, but {VERSION} is needed",
            root.display()
        )))
    }
}

/// The version by the archive's `build-version`, a Python package's `version.py`, or the headers.
fn read_version(root: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(root.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    if let Ok(text) = fs::read_to_string(root.join("version.py")) {
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        return Some(line.split(['\'', '"']).nth(1)?.to_owned());
    }
    let text = fs::read_to_string(root.join("include/torch/headeronly/version.h")).ok()?;
    let part = |name: &str| {
        let mut words = text.lines().map(str::split_whitespace).find_map(|mut words| {
            (words.next() == Some("#define") && words.next() == Some(name)).then_some(words)
        })?;
        words.next().map(str::to_owned)
    };
    Some(format!(
        "{}.{}.{}",
        part("TORCH_VERSION_MAJOR")?,
        part("TORCH_VERSION_MINOR")?,
        part("TORCH_VERSION_PATCH")?
    ))
}

/// Whether all files that a build reads are there, libraries in full length.
///
/// # Errors
/// Names what is missing or cut off.
pub fn files(root: &Path, variant: Variant) -> Result<(), Fault> {
    let mut needed = NEEDED.to_vec();
    if variant == Variant::Cuda {
        needed.extend(NEEDED_BY_CUDA);
    }
    let missing: Vec<_> =
        needed.iter().filter(|name| !root.join(name).is_file()).copied().collect();
    if !missing.is_empty() {
        return Err(Fault::new(format!(
            "{} is incomplete: it lacks {}",
            root.display(),
            missing.join(", ")
        )));
    }
    for name in needed.iter().filter(|name| name.ends_with(".so")) {
        let path = root.join(name);
        let complete = whole_library(&path)
            .map_err(|error| Fault::new(format!("{} cannot be read: {error}", path.display())))?;
        if !complete {
            return Err(Fault::new(format!(
                "{} is damaged: it is cut off or not a library",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Whether `path` is a 64-bit ELF file that reaches to the end of its section table (which linkers put
/// last, so that a cut file lacks it), or a linker script.
fn whole_library(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut header = Vec::with_capacity(64);
    file.by_ref().take(64).read_to_end(&mut header)?;
    if header.starts_with(b"INPUT(") {
        return Ok(true);
    }
    if header.len() < 64 || !header.starts_with(b"\x7fELF\x02") {
        return Ok(false);
    }
    let number = |at: usize, bytes: usize| {
        header[at..at + bytes].iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let (table, entry, count) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2));
    Ok(table.checked_add(entry * count).is_some_and(|end| end <= length))
}

/// Whether it uses the C++11 ABI of strings, as the C++ glue of `tch` is compiled.
///
/// # Errors
/// When no symbol of libc10 has it.
pub fn abi(root: &Path) -> Result<(), Fault> {
    let path = root.join("lib/libc10.so");
    let bytes = fs::read(&path)
        .map_err(|error| Fault::new(format!("{} cannot be read: {error}", path.display())))?;
    let mark = b"__cxx11";
    if bytes.windows(mark.len()).any(|window| window == mark) {
        Ok(())
    } else {
        Err(Fault::new(format!(
            "{} is built with the C++ ABI from before C++11, which does not link",
            path.display()
        )))
    }
}

/// Whether the dynamic loader finds every library and symbol, as it will when a program starts.
///
/// # Errors
/// Names what is not found.
pub fn loads(root: &Path, variant: Variant) -> Result<(), Fault> {
    let name = match variant {
        Variant::Cpu => "lib/libtorch_cpu.so",
        Variant::Cuda => "lib/libtorch_cuda.so",
    };
    let library: PathBuf = root.join(name);
    let mut command = Command::new("ldd");
    command.arg("-r").arg(&library).env_remove("LD_LIBRARY_PATH");
    let output = shell::output(&mut command).map_err(|error| Fault::new(error.to_string()))?;
    let text = [output.stdout, output.stderr].concat();
    match unresolved(&String::from_utf8_lossy(&text)) {
        Some(what) => Err(Fault::new(format!("{} does not load: {what}", library.display()))),
        None if output.status.success() => Ok(()),
        None => Err(Fault::new(format!(
            "{} does not load: {}",
            library.display(),
            shell::last_line(&text)
        ))),
    }
}

/// The first complaint in the output of `ldd -r`. The CUDA driver's own library belongs to the machine.
fn unresolved(text: &str) -> Option<String> {
    let complaint = |line: &&str| {
        (line.contains("not found") && !line.trim_start().starts_with("libcuda.so.1"))
            || line.starts_with("undefined symbol")
    };
    let line = text.lines().find(complaint)?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_the_loader_are_read() {
        let fine = "\tlibc10.so => /x/libc10.so (0x00)\n\tlibcuda.so.1 => not found\n";
        assert_eq!(unresolved(fine), None);
        let missing = "\tlibgomp.so.1 => not found\n";
        assert_eq!(unresolved(missing).unwrap(), "libgomp.so.1 => not found");
        let symbol = "undefined symbol: foo\t(./lib.so)\n";
        assert_eq!(unresolved(symbol).unwrap(), "undefined symbol: foo (./lib.so)");
    }
}
