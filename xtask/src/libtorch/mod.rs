//! LibTorch: which one is wanted, where it is found, whether it is sound, and how to get it.

pub mod archive;
pub mod check;
pub mod find;
pub mod install;
pub mod lock;
pub mod python;
pub mod record;
pub mod unpack;
pub mod watch;
pub mod wheels;

/// The version that the `tch` of this workspace is written for; no other links.
pub const VERSION: &str = "2.13.0";

/// The two builds of LibTorch, each in its own folder so that neither evicts the other's builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Runs on the processor; starts fast and is small.
    Cpu,
    /// Runs on CUDA devices too; several gigabytes.
    Cuda,
}

impl Variant {
    /// The folder's name under `.libtorch/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// The command that installs it.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Cpu => "cargo xtask setup",
            Self::Cuda => "cargo xtask setup --cuda",
        }
    }
}
