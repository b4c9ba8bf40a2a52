//! Tests of the crate, one module a subject.

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
