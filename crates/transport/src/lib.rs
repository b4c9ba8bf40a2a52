//! Optimal transport on ndarray: exact plans, entropic plans, and distances.
//!
//! | question | function |
//! |---|---|
//! | which point goes to which, at the least total cost | [`assignment`], [`AssignmentSolver`] |
//! | how to move masses onto masses, at the least cost | [`emd`] |
//! | a plan smoothed by entropy, its limits on mass relaxed or not | [`sinkhorn`], [`sinkhorn_batch`] |
//! | how far apart two clouds are | [`wasserstein_1`], [`wasserstein_2`], [`sliced_wasserstein`], [`mmd`], [`energy_distance`] |
//! | the same on the line, or between Gaussians | [`wasserstein_1d`], [`bures`] |
//!
//! Costs are given as clouds or as a matrix: [`Cost`]. What is called exact is exact up to the
//! rounding of double precision, and comes with dual potentials that prove it. Kernels choose AVX2
//! or AVX-512 at run time; what is parallel runs on rayon's pool, and results do not depend on its
//! size.

mod assignment;
mod buffer;
mod cost;
mod discrepancy;
mod eigen;
mod emd;
mod error;
mod gaussian;
mod geometry;
mod kernel;
mod mass;
mod metric;
mod one_dim;
mod plan;
mod real;
mod sinkhorn;
mod sliced;

pub use assignment::{Assignment, AssignmentOptions, AssignmentSolver, Potentials, assignment};
pub use cost::Cost;
pub use discrepancy::{Estimator, Mmd, MmdOptions, energy_distance, mmd};
pub use emd::{EmdOptions, emd};
pub use error::{Error, Result};
pub use gaussian::bures;
pub use metric::{wasserstein_1, wasserstein_2};
pub use one_dim::{wasserstein_1d, wasserstein_1d_weighted};
pub use plan::{Flow, Plan};
pub use real::Real;
pub use sinkhorn::{Marginals, Sinkhorn, SinkhornOptions, sinkhorn, sinkhorn_batch};
pub use sliced::sliced_wasserstein;
