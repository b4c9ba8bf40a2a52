//! Training for maxlik: typed configs, optimizers, a resumable trainer, checkpoints, run folders.
//!
//! - [`config`]: TOML into any serde type, with `--set` overrides and errors of one line;
//! - [`OptimConfig`], [`Schedule`], [`Optimizer`], [`Ema`]: how a model is trained;
//! - [`Trainer`]: the loop, with validation, early stopping, interruption and bit-equal resumption;
//! - [`checkpoint`]: safetensors files with a checksum, complete or not there;
//! - [`Run`]: the folder of a run, with metrics, TensorBoard events, environment and summary;
//! - [`evaluate`], [`plot`] and [`report`]: what a run came to, in numbers, pictures and one page.

pub mod checkpoint;
pub mod config;
mod disk;
mod ema;
pub mod evaluate;
mod optim;
mod optimizer;
pub mod plot;
pub mod report;
pub mod run;
mod schedule;
pub mod trainer;

pub use ema::Ema;
pub use evaluate::Estimate;
pub use optim::OptimConfig;
pub use optimizer::{Optimizer, clip, global_norm};
pub use run::{Environment, Run, Summary};
pub use schedule::Schedule;
pub use trainer::{Batches, Outcome, Status, Stream, Trainer};
