//! The commands of `cargo xtask`: LibTorch's set-up, runs, tests, checks and benches.
//!
//! It compiles in seconds and without LibTorch, and does its work through the tools that a machine with
//! Rust and Python has anyway (`cargo`, `python3 -m pip`, `ldd`). One file holds one command; what several share is
//! in [`libtorch`] (find, check, provide), [`build`] (cargo with the right LibTorch) and [`workspace`].
#![allow(clippy::print_stdout, reason = "a command line prints its results")]

pub mod arrows;
pub mod bench;
pub mod build;
pub mod cli;
pub mod device;
pub mod disk;
pub mod doc;
pub mod doctor;
pub mod libtorch;
pub mod links;
pub mod lint;
pub mod progress;
pub mod run;
pub mod setup;
pub mod shell;
pub mod tally;
pub mod test;
pub mod workspace;
