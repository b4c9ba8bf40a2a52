//! Optimal transport on ndarray: exact assignment, and entropic plans.
//!
//! | question | function |
//! |---|---|
//! | which point goes to which, at the least total cost | [`assignment`] |
//! | a plan smoothed by entropy, its limits on mass relaxed or not | [`sinkhorn`], [`sinkhorn_batch`] |
//!
//! Costs are given as clouds or as a matrix: [`Cost`]. Kernels choose AVX2 or AVX-512 at run time;
//! what is parallel runs on rayon's pool, and results do not depend on its size.

mod assignment;
mod buffer;
mod cost;
mod error;
mod geometry;
mod kernel;
mod mass;
mod plan;
mod real;
mod sinkhorn;

pub use assignment::{Assignment, AssignmentOptions, AssignmentSolver, Potentials, assignment};
pub use cost::Cost;
pub use error::{Error, Result};
pub use plan::{Flow, Plan};
pub use real::Real;
pub use sinkhorn::{Marginals, Sinkhorn, SinkhornOptions, sinkhorn, sinkhorn_batch};
