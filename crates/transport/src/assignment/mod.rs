//! The assignment problem: each source gets a target of its own, at the least total cost.

mod auction;
mod augment;
mod filter;
mod nearby;
mod polish;
mod search;
mod single;
mod solve;

use ndarray::{ArrayView1, Axis};

use self::solve::solve;
use crate::buffer::Aligned;
use crate::cost::{Cost, finite};
use crate::error::{Error, Result};
use crate::geometry::Geometry;
use crate::real::Real;

/// An optimal assignment with its certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Target of each source.
    pub permutation: Vec<usize>,
    /// Σ_i c(i, permutation_i), in double precision from the data as given.
    pub cost: f64,
    /// Dual potentials: u_i + v_j ≤ c_ij up to rounding, with equality for matched pairs, v_j ≤ 0
    /// where there are more targets than sources and v_j = 0 for those left over; so
    /// Σ u + Σ v = cost, which proves the optimum.
    pub potentials: Potentials,
}

/// Dual potentials of a transport problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Potentials {
    /// u, one for each source.
    pub source: Vec<f64>,
    /// v, one for each target.
    pub target: Vec<f64>,
}

/// How to search.
#[derive(Clone, Copy, Debug, Default)]
pub struct AssignmentOptions<'a> {
    /// Target potentials of a similar problem (the last batch of a slowly changing one), at which
    /// the search starts instead of finding its own. The result does not depend on them. They
    /// serve only where there are as many targets as sources.
    pub warm_start: Option<&'a [f64]>,
}

/// Memory that can be used again: keep it where many problems of one size are solved.
#[derive(Debug, Default)]
pub struct AssignmentSolver {
    single: Aligned<f32>,
    double: Aligned<f64>,
}

/// Solves the assignment problem exactly: the permutation σ with the least Σ_i c(i, σ_i).
///
/// There must be at least as many targets as sources; with more, the best ones are used.
///
/// # Errors
/// Empty or mismatched clouds, values that are not finite, more sources than targets, or a warm
/// start of another length or with values that are not finite.
///
/// # Example
/// ```
/// use maxlik_transport::{AssignmentOptions, Cost, assignment};
/// use ndarray::array;
///
/// let x = array![[0.0, 0.0], [1.0, 0.0]];
/// let y = array![[1.0, 1.0], [0.0, 1.0]];
/// let best = assignment(&Cost::squared_euclidean(&x, &y), &AssignmentOptions::default())?;
/// assert_eq!(best.permutation, [1, 0]);
/// assert_eq!(best.cost, 2.0);
/// # Ok::<(), maxlik_transport::Error>(())
/// ```
pub fn assignment<F: Real>(
    cost: &Cost<'_, F>,
    options: &AssignmentOptions<'_>,
) -> Result<Assignment> {
    AssignmentSolver::default().solve(cost, options)
}

impl AssignmentSolver {
    /// A solver without memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// [`assignment`] in the memory of the last call.
    ///
    /// # Errors
    /// Those of [`assignment`].
    pub fn solve<F: Real>(
        &mut self,
        cost: &Cost<'_, F>,
        options: &AssignmentOptions<'_>,
    ) -> Result<Assignment> {
        let (sources, targets) = cost.shape();
        let square = sources == targets;
        let geometry = cost.prepare(square)?;
        if sources > targets {
            return Err(Error::shape(
                "cost",
                format!("at least {sources} targets for {sources} sources (else swap the two)"),
                targets.to_string(),
            ));
        }
        let start = match options.warm_start {
            Some(potentials) => {
                check_potentials(potentials, targets)?;
                square.then(|| geometry.shifted(potentials, -1.0))
            }
            None => None,
        };
        let solved = solve(self, &geometry, start.as_deref());
        Ok(report(cost, &geometry, &solved))
    }
}

/// A complete matching and the prices that prove it.
#[derive(Debug)]
struct Solved {
    target_of: Vec<u32>,
    price: Vec<f64>,
}

/// Checks target potentials to start from.
pub(crate) fn check_potentials(potentials: &[f64], targets: usize) -> Result<()> {
    if potentials.len() != targets {
        return Err(Error::shape(
            "warm_start",
            format!("{targets} potentials, one for each target"),
            potentials.len().to_string(),
        ));
    }
    finite("warm_start", ArrayView1::from(potentials).insert_axis(Axis(0)))
}

fn report<F: Real>(cost: &Cost<'_, F>, geometry: &Geometry<'_>, solved: &Solved) -> Assignment {
    let permutation: Vec<usize> = solved.target_of.iter().map(|&j| j as usize).collect();
    let paid: Vec<f64> = permutation.iter().enumerate().map(|(i, &j)| cost.at(i, j)).collect();
    let target = geometry.shifted(&solved.price, 1.0);
    let source = paid.iter().zip(&permutation).map(|(c, &j)| c - target[j]).collect();
    Assignment { cost: paid.iter().sum(), permutation, potentials: Potentials { source, target } }
}
