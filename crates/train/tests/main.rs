//! Tests of maxlik-train.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;
mod common;
mod config;
mod optim;
mod resume;
