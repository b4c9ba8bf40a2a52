//! Tests of the crate, one module a subject.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helper functions too"
)]

mod augment;
mod dataset;
mod dequantize;
mod digits;
mod loader;
mod metrics;
mod noise;
mod random;
mod split;
mod standardize;
mod table_csv;
mod table_npy;
#[cfg(feature = "tch")]
mod tensor;
mod text;
mod toy;
mod uci;
