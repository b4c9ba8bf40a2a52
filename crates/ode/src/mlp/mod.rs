//! Perceptrons as velocity fields, with kernels for whole solves.

#[allow(clippy::needless_range_loop, reason = "one index runs through several arrays of lanes")]
mod back;
#[allow(clippy::needless_range_loop, reason = "one index runs through several arrays of lanes")]
mod eval;
mod field;
#[allow(clippy::needless_range_loop, reason = "one index runs through several arrays of lanes")]
mod gemm;
mod op;
mod real;
mod simd;
mod solve;
mod two_layer;
mod weights;
mod worker;

pub use field::{MlpField, MlpFieldConfig};
pub(crate) use op::solve_fused;
pub(crate) use solve::Plan;
pub use two_layer::TwoLayer;
