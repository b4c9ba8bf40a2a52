//! `--device`, and whether this machine has the driver that it asks for.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::libtorch::Variant;
use crate::shell;

/// The oldest NVIDIA driver that runs CUDA 13.0, which LibTorch 2.13.0 is built with.
const OLDEST_DRIVER: u32 = 580;

/// A device as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// A CUDA device; `None` lets LibTorch choose.
    Cuda(Option<u32>),
}

impl FromStr for Device {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || anyhow!("device \"{text}\" is not known; use cpu, cuda or cuda:N");
        // As maxlik_tensor::device::parse reads it: the name's case does not matter.
        let name = text.trim().to_ascii_lowercase();
        match name.split_once(':') {
            None if name == "cpu" => Ok(Self::Cpu),
            None if name == "cuda" => Ok(Self::Cuda(None)),
            Some(("cuda", index)) => Ok(Self::Cuda(Some(index.parse().map_err(|_| wrong())?))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(index)) => write!(f, "cuda:{index}"),
        }
    }
}

impl Device {
    /// The last `--device X` or `--device=X` among `arguments`; the CPU where there is none.
    ///
    /// # Errors
    /// When the value is absent or no device.
    pub fn among(arguments: &[OsString]) -> Result<Self> {
        let mut device = Self::Cpu;
        let mut rest = arguments.iter().map(|argument| argument.to_string_lossy());
        while let Some(argument) = rest.next() {
            if argument == "--" {
                break;
            }
            if argument == "--device" {
                let value = rest.next();
                device =
                    value.context("--device has no value; use cpu, cuda or cuda:N")?.parse()?;
            } else if let Some(value) = argument.strip_prefix("--device=") {
                device = value.parse()?;
            }
        }
        Ok(device)
    }

    /// The build of LibTorch that runs on this device.
    #[must_use]
    pub fn variant(self) -> Variant {
        match self {
            Self::Cpu => Variant::Cpu,
            Self::Cuda(_) => Variant::Cuda,
        }
    }
}

/// What is known of this machine's NVIDIA driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// None was found.
    Absent,
    /// One is there; its version where it could be read.
    Present(Option<String>),
}

impl Driver {
    /// Looks for the kernel module, then for `nvidia-smi`, then for the library alone (WSL, some containers).
    #[must_use]
    pub fn find() -> Self {
        if let Ok(text) = fs::read_to_string("/proc/driver/nvidia/version") {
            return Self::Present(module_version(&text));
        }
        let query = ["--query-gpu=driver_version", "--format=csv,noheader"];
        if let Some(line) = shell::first_line("nvidia-smi", &query) {
            return Self::Present(Some(line));
        }
        let folders = [
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib64",
            "/usr/lib/wsl/lib",
            "/usr/local/nvidia/lib64",
        ];
        let library = |folder: &&str| Path::new(folder).join("libcuda.so.1").exists();
        if folders.iter().any(library) {
            return Self::Present(None);
        }
        Self::Absent
    }

    /// Whether CUDA 13.0 can run on it.
    ///
    /// # Errors
    /// When there is no driver, or one that is too old.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Absent => bail!(
                "this machine has no NVIDIA driver, so nothing can run on CUDA; use --device cpu, or install driver {OLDEST_DRIVER} or newer"
            ),
            Self::Present(Some(version)) if major(version).is_some_and(|n| n < OLDEST_DRIVER) => {
                bail!(
                    "NVIDIA driver {version} is too old for CUDA 13.0; install {OLDEST_DRIVER} or newer"
                )
            }
            Self::Present(_) => Ok(()),
        }
    }
}

/// The driver's version in the text of `/proc/driver/nvidia/version`: its first number with a dot.
fn module_version(text: &str) -> Option<String> {
    let mut words = text.lines().next()?.split_whitespace();
    let number =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    words.find(number).map(str::to_owned)
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_device_counts() {
        let device = |text: &str| {
            let arguments: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            Device::among(&arguments)
        };
        assert_eq!(device("digits --set a=b").unwrap(), Device::Cpu);
        assert_eq!(device("digits --device cuda").unwrap(), Device::Cuda(None));
        let last = device("d --device=cpu --device=cuda:1").unwrap();
        assert_eq!(last, Device::Cuda(Some(1)));
        assert_eq!(last.to_string(), "cuda:1");
        assert_eq!(device("d --device CUDA:2").unwrap(), Device::Cuda(Some(2)));
        let after = device("d -- --device cuda").unwrap();
        assert_eq!(after, Device::Cpu);
        for wrong in ["d --device", "d --device=gpu", "d --device cuda:x", "d --device cpu:0"] {
            assert!(device(wrong).unwrap_err().to_string().contains("cuda:N"));
        }
    }

    #[test]
    fn old_and_absent_drivers_are_refused() {
        let text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Mon Feb\nGCC";
        let old = Driver::Present(module_version(text));
        assert_eq!(old, Driver::Present(Some("535.161.08".into())));
        assert!(old.check().unwrap_err().to_string().contains("535.161.08"));
        assert!(Driver::Absent.check().unwrap_err().to_string().contains("no NVIDIA driver"));
        assert!(Driver::Present(Some("580.82.07".into())).check().is_ok());
    }
}
