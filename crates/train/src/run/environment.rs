//! `environment.json`.

use serde::{Deserialize, Serialize};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use tch::Device;

/// Where and with what a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of maxlik.
    pub maxlik: String,
    /// Version of LibTorch that tch binds, and the only one it works with.
    pub libtorch: String,
    /// Commit of the repository that the run was started in, with `-dirty` for changes beside it.
    pub git_commit: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// CUDA devices that LibTorch sees.
    pub cuda_devices: i64,
    /// Threads of LibTorch inside an operation.
    pub threads: i32,
    /// Model of the CPU.
    pub cpu: Option<String>,
    /// Logical cores that the process may use.
    pub cores: usize,
    /// Operating system and architecture.
    pub system: String,
    /// Whether the code was compiled without optimisation.
    pub debug_build: bool,
    /// The command line.
    pub command: Vec<String>,
    /// Seconds since 1970 when this was collected.
    pub unix_time: u64,
}

impl Environment {
    /// The environment of this process, for a run on `device`. What cannot be found out is left out.
    #[must_use]
    pub fn collect(device: Device) -> Self {
        Self {
            maxlik: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: "2.13.0".to_owned(),
            git_commit: git_commit(),
            device: match device {
                Device::Cuda(index) => format!("cuda:{index}"),
                other => format!("{other:?}").to_lowercase(),
            },
            cuda_devices: tch::Cuda::device_count(),
            threads: tch::get_num_threads(),
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            debug_build: cfg!(debug_assertions),
            command: std::env::args().collect(),
            unix_time: now().as_secs(),
        }
    }
}

/// Time since 1970.
pub(super) fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn git_commit() -> Option<String> {
    let git = |arguments: &[&str]| -> Option<String> {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
