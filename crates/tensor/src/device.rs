//! Device names as people write them.

use crate::{Error, Result};
use tch::{Cuda, Device};

/// Reads `cpu`, `cuda` or `cuda:N`.
///
/// # Errors
/// [`Error::Config`] for another name; [`Error::Device`] where CUDA is asked for and this build or
/// machine has none, or has fewer devices. There is no silent fall-back to the CPU.
pub fn parse(text: &str) -> Result<Device> {
    let wanted = text.trim().to_ascii_lowercase();
    let index =
        match wanted.as_str() {
            "cpu" => return Ok(Device::Cpu),
            "cuda" => 0,
            other => other.strip_prefix("cuda:").and_then(|n| n.parse::<usize>().ok()).ok_or_else(
                || Error::config("device", format!("expected cpu, cuda or cuda:N, got {text:?}")),
            )?,
        };
    let available =
        if Cuda::is_available() { usize::try_from(Cuda::device_count()).unwrap_or(0) } else { 0 };
    if index < available {
        return Ok(Device::Cuda(index));
    }
    let got = match available {
        0 => {
            "no CUDA device (see `cargo xtask doctor`, and run with `--device cuda` through xtask)"
                .to_owned()
        }
        n => format!("{n} CUDA device(s), numbered from 0"),
    };
    Err(Error::Device { what: "device".to_owned(), expected: format!("cuda:{index}"), got })
}
