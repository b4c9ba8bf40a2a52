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
mod random;
mod split;
mod standardize;
#[cfg(feature = "tch")]
mod tensor;
mod toy;
