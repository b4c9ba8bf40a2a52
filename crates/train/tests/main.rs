//! Tests of maxlik-train.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint;
mod common;
mod config;
mod evaluate;
mod kill;
mod optim;
mod picture;
mod resume;
mod run;
mod stop;
