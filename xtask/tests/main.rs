//! Set-up, doctor, runs and checks of xtask, on small fake LibTorch folders and without a network.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod arrows;
mod check;
mod cli;
mod doctor;
mod fake;
mod find;
mod install;
mod lengths;
mod links;
mod run;
mod setup;
