//! Tests of maxlik-flows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod audio;
mod autoregressive;
mod bases;
mod coverage;
mod deep;
mod docs;
mod elementwise;
mod golden;
mod image;
mod injective;
mod layers;
mod linear;
mod random;
mod residual;
mod score;
mod stacks;
mod table;
mod tarflow;
mod unnormalized;
