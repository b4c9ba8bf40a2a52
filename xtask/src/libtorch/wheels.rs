//! LibTorch out of the wheels of the Python package index, by `pip download`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::VERSION;
use super::python::Python;
use super::record::Record;
use super::unpack::{Zip, sha256};
use super::watch::watch;
use crate::progress::Bar;
use crate::shell;

/// A wheel of which every byte is known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    /// What pip is asked for.
    pub requirement: &'static str,
    /// Its file name.
    pub file: &'static str,
    /// The SHA-256 of the file.
    pub sha256: &'static str,
}

/// PyTorch itself: a CUDA build, of which the CPU needs a few files only.
pub const TORCH: Wheel = Wheel {
    requirement: "torch==2.13.0",
    file: "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
};

/// The two small CUDA libraries that its `libtorch_cpu.so` is linked with even so.
pub const LINKED: [Wheel; 2] = [
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    },
];

/// The wheels are for one Python and platform whatever the machine's own Python is, so that everyone gets
/// the same bytes: only the libraries in them are used.
const FLAGS: [&str; 9] = [
    "--only-binary=:all:",
    "--progress-bar=off",
    "--disable-pip-version-check",
    "--no-input",
    "--implementation=cp",
    "--python-version=311",
    "--abi=cp311",
    "--abi=none",
    "--platform=manylinux2014_x86_64",
];

/// pip takes a platform literally: a system with glibc 2.28 also runs what was built for every older one.
fn platforms() -> impl Iterator<Item = String> {
    (17..=28).rev().map(|minor| format!("--platform=manylinux_2_{minor}_x86_64"))
}

/// The folders that wheels pass through.
#[derive(Clone, Debug)]
pub struct Folders {
    /// What pip is working on; nothing in it counts as finished.
    pub partial: PathBuf,
    /// Finished wheels, kept until they are unpacked.
    pub downloads: PathBuf,
}

/// Downloads `wheel`, or takes the finished one of an earlier run.
///
/// # Errors
/// When pip fails, or the file's SHA-256 is another.
pub fn fetch(python: &Python, wheel: &Wheel, folders: &Folders) -> Result<PathBuf> {
    let path = folders.downloads.join(wheel.file);
    if path.is_file() && sha256(&path)? == wheel.sha256 {
        say!("{}: already downloaded", wheel.requirement);
        return Ok(path);
    }
    let title = format!("downloading {}", wheel.requirement.replace("==", " "));
    pip(python, &title, &["--no-deps", wheel.requirement], folders)?;
    let got = folders.partial.join(wheel.file);
    if !got.is_file() {
        bail!("pip brought another file than {} for {}", wheel.file, wheel.requirement);
    }
    let digest = sha256(&got)?;
    if digest != wheel.sha256 {
        bail!(
            "{} has SHA-256 {digest}, not {}: the package index serves another file than PyTorch published",
            wheel.file,
            wheel.sha256
        );
    }
    fs::create_dir_all(&folders.downloads)?;
    fs::rename(&got, &path)?;
    Ok(path)
}

/// Downloads the CUDA libraries that `torch` names as its requirements, with their own requirements, or takes
/// the finished ones of an earlier run.
///
/// # Errors
/// When pip fails, or the wheel names none.
pub fn fetch_cuda(python: &Python, torch: &Path, folders: &Folders) -> Result<Vec<PathBuf>> {
    let list = folders.downloads.join("cuda-wheels.txt");
    if let Some(paths) = finished(&list, &folders.downloads) {
        say!("CUDA libraries: already downloaded");
        return Ok(paths);
    }
    let requirements = cuda_requirements(&Zip::open(torch)?.text(".dist-info/METADATA")?);
    if requirements.is_empty() {
        bail!("{} names no CUDA libraries", torch.display());
    }
    let arguments: Vec<&str> = requirements.iter().map(String::as_str).collect();
    pip(python, "downloading CUDA libraries", &arguments, folders)?;
    fs::create_dir_all(&folders.downloads)?;
    let mut names = Vec::new();
    for wheel in wheels_in(&folders.partial)? {
        let name = wheel.file_name().context("a wheel without a name")?;
        fs::rename(&wheel, folders.downloads.join(name))?;
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    // The list is written last: while it is absent, the set is not complete.
    fs::write(folders.partial.join("list"), names.join("\n"))?;
    fs::rename(folders.partial.join("list"), &list)?;
    finished(&list, &folders.downloads).context("a downloaded CUDA wheel disappeared")
}

/// The wheels that `list` names, if the list and all of them are there.
fn finished(list: &Path, folder: &Path) -> Option<Vec<PathBuf>> {
    let names = fs::read_to_string(list).ok()?;
    let paths: Vec<PathBuf> = names.lines().map(|name| folder.join(name)).collect();
    paths.iter().all(|path| path.is_file()).then_some(paths)
}

/// The requirements in a wheel's METADATA that are NVIDIA libraries for Linux, without their markers.
fn cuda_requirements(metadata: &str) -> Vec<String> {
    let library = |line: &str| {
        let requirement = line.strip_prefix("Requires-Dist: ")?;
        let (requirement, marker) = requirement.split_once(';').unwrap_or((requirement, ""));
        let cuda = requirement.starts_with("nvidia-") || requirement.starts_with("cuda-toolkit");
        (cuda && !marker.contains("extra ==")).then(|| requirement.trim().to_owned())
    };
    metadata.lines().filter_map(library).collect()
}

/// `pip download` into the partial folder, with a bar over the bytes that have arrived.
fn pip(python: &Python, title: &str, arguments: &[&str], folders: &Folders) -> Result<()> {
    if python.pip().is_none() {
        bail!("Python has no pip; install it (on Debian and Ubuntu: apt install python3-pip)");
    }
    let partial = &folders.partial;
    let temporary = partial.join("tmp");
    fs::create_dir_all(&temporary)?;
    let mut command = python.command();
    command
        .args(["-m", "pip", "download", "--dest"])
        .arg(partial)
        .args(FLAGS)
        .args(platforms())
        .args(arguments)
        // pip downloads into a temporary folder first; there its bytes can be counted.
        .env("TMPDIR", &temporary)
        // Newer pips continue a broken download; older ones do not know the variable.
        .env("PIP_RESUME_RETRIES", "10");
    let bar = Bar::bytes(title, None);
    let mut total = 0;
    let ended = watch(
        &mut command,
        None,
        |line| {
            if let Some(bytes) = announced(line) {
                total += bytes;
                bar.set_total(total);
            }
        },
        || bar.set(bytes_of_wheels(partial)),
    )?;
    if ended.status.success() {
        bar.finish();
        fs::remove_dir_all(&temporary)?;
        return Ok(());
    }
    bar.abandon();
    let why = shell::last_line(&ended.complaint);
    bail!(
        "pip could not download {}: {}; check the network and pip's index, or point LIBTORCH at a LibTorch {VERSION}",
        arguments.last().unwrap_or(&title),
        why.trim_start_matches("ERROR: ")
    );
}

/// The size in pip's line `Downloading torch-….whl (526.6 MB)`, in bytes.
fn announced(line: &str) -> Option<u64> {
    let line = line.trim();
    if !(line.starts_with("Downloading ") || line.starts_with("Using cached ")) {
        return None;
    }
    let (name, size) = line.strip_suffix(')')?.rsplit_once(" (")?;
    if !name.contains(".whl") || name.contains(".metadata") {
        return None;
    }
    let (number, unit) = size.split_once(' ')?;
    let scale = match unit {
        "bytes" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some((number * scale) as u64)
}

/// The bytes of all wheels under `folder`, finished or growing. A wheel that is being moved from the
/// temporary folder to its place is there twice and counts once.
fn bytes_of_wheels(folder: &Path) -> u64 {
    let mut sizes = std::collections::HashMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // Folders and files come and go while pip works: what is gone counts nothing.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(data) = entry.metadata() else { continue };
            if data.is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|end| end == "whl") {
                let size = sizes.entry(entry.file_name()).or_insert(0);
                *size = data.len().max(*size);
            }
        }
    }
    sizes.values().sum()
}

fn wheels_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "whl") {
            wheels.push(path);
        }
    }
    Ok(wheels)
}

/// Unpacks the files of a wheel for which `place` names a path under `folder`, checked against its RECORD.
///
/// # Errors
/// When the wheel is damaged, or has none of them.
pub fn unpack(wheel: &Path, folder: &Path, place: impl Fn(&str) -> Option<PathBuf>) -> Result<()> {
    let mut zip = Zip::open(wheel)?;
    let record = Record::parse(&zip.text(".dist-info/RECORD")?);
    let count = zip.extract(folder, Some(&record), place)?;
    (count > 0)
        .then_some(())
        .with_context(|| format!("{} holds none of the files wanted of it", wheel.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_sizes_are_read() {
        let line = "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (526.6 MB)";
        assert_eq!(announced(line), Some(526_600_000));
        let cached = "Using cached nvidia_nccl.whl (12 kB)";
        assert_eq!(announced(cached), Some(12_000));
        assert_eq!(announced("Downloading torch-2.13.0.whl.metadata (12 kB)"), None);
        assert_eq!(announced("Collecting torch==2.13.0"), None);
    }

    #[test]
    fn only_nvidia_libraries_are_required() {
        let metadata = "\
Requires-Dist: sympy>=1.13.3
Requires-Dist: cuda-toolkit[cublas,cudart]==13.0.3; platform_system == \"Linux\"
Requires-Dist: cuda-bindings<14,>=13.0.3; platform_system == \"Linux\"
Requires-Dist: nvidia-cudnn-cu13==9.20.0.48; platform_system == \"Linux\"
Requires-Dist: nvidia-extra==1; extra == \"more\"
Requires-Dist: triton==3.7.1; platform_system == \"Linux\"
";
        assert_eq!(
            cuda_requirements(metadata),
            ["cuda-toolkit[cublas,cudart]==13.0.3", "nvidia-cudnn-cu13==9.20.0.48"]
        );
    }
}
