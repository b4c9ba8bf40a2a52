//! What is exactly true of every solver, and agreement with POT where POT is the reference.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking, in its helpers too")]

mod assignment;
mod common;
mod distances;
mod emd;
mod golden;
mod sinkhorn;
