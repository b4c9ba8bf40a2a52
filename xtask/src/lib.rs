//! The commands of `cargo xtask`: LibTorch's set-up, runs, tests, checks and benches.
//!
//! It compiles in seconds and without LibTorch, and does its work through the tools that a machine with
//! Rust and Python has anyway (`cargo`, `python3 -m pip`, `ldd`). One file holds one command; what several share is
//! in [`libtorch`] (find, check, provide), [`build`] (cargo with the right LibTorch) and [`workspace`].

/// Prints a line as `println!` does, and goes on where nobody reads it any more (`cargo xtask doctor | head -1`).
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}

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
