//! The inner loops of the fused ops: plain Rust over lanes that the compiler turns into SIMD.
#![allow(clippy::needless_range_loop, reason = "one index runs through several arrays of lanes")]

pub(crate) mod affine;
pub(crate) mod attention;
pub(crate) mod gelu;
pub(crate) mod masked;
pub(crate) mod mixture;
pub(crate) mod real;
pub(crate) mod simd;
mod softmax;
pub(crate) mod spline;
pub(crate) mod vocabulary;
