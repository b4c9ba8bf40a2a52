//! Wasserstein distances between clouds.

use ndarray::ArrayView2;

use crate::assignment::{AssignmentOptions, assignment};
use crate::cost::Cost;
use crate::emd::{self, EmdOptions};
use crate::error::Result;
use crate::mass::Masses;
use crate::real::Real;

/// W₁ between two clouds of equal masses, exactly: the least mean distance.
///
/// # Errors
/// Empty or mismatched clouds, or values that are not finite.
pub fn wasserstein_1<F: Real>(x: ArrayView2<'_, F>, y: ArrayView2<'_, F>) -> Result<f64> {
    mean_cost(&Cost::euclidean(x.reborrow(), y.reborrow()))
}

/// W₂ between two clouds of equal masses, exactly: the root of the least mean squared distance.
///
/// # Errors
/// Empty or mismatched clouds, or values that are not finite.
pub fn wasserstein_2<F: Real>(x: ArrayView2<'_, F>, y: ArrayView2<'_, F>) -> Result<f64> {
    mean_cost(&Cost::squared_euclidean(x.reborrow(), y.reborrow())).map(f64::sqrt)
}

/// Least mean cost with equal masses on each side.
fn mean_cost<F: Real>(cost: &Cost<'_, F>) -> Result<f64> {
    let (sources, targets) = cost.shape();
    if sources == targets {
        return Ok(assignment(cost, &AssignmentOptions::default())?.cost / sources as f64);
    }
    let masses = Masses::uniform(sources, targets)?;
    Ok(emd::solve(&masses, cost, &EmdOptions::default())?.cost)
}
