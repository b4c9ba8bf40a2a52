//! Straightening a flow by training on its own pairs.

use maxlik_model::VectorField;
use maxlik_ode::{Solver, Velocity};
use maxlik_tensor::Result;
use tch::Tensor;

/// Ends of the paths of a flow, row by row.
#[derive(Debug)]
pub struct Pairs {
    /// Where they start, `[B, …]`.
    pub source: Tensor,
    /// Where they end, `[B, …]`.
    pub data: Tensor,
}

/// The pairs `(x₀, x₁)` of a trained flow, `x₁` the solution at time 1 of `dx/dt = v(t, x)` from
/// `x₀ = source`: what the next rectified flow is trained on (Liu, Gong and Liu 2023, "Flow straight
/// and fast", arXiv:2209.03003, algorithm 1).
///
/// Deterministic pairs have paths that cross less; each round makes the flow straighter, at no higher
/// transport cost for any convex cost (theorem 3.5). No gradient flows through the pairs.
///
/// # Errors
/// Those of the teacher, and [`maxlik_tensor::Error::NotConverged`] or `NonFinite` where a path
/// could not be solved.
pub fn reflow(
    teacher: &dyn VectorField,
    solver: &Solver,
    source: &Tensor,
    context: Option<&Tensor>,
) -> Result<Pairs> {
    let _no_grad = tch::no_grad_guard();
    let field = Velocity { field: teacher, context };
    let times = Tensor::f_from_slice(&[0.0_f64, 1.0])?;
    let solution = solver.solve(&field, source, &times)?;
    solution.ensure_success()?;
    Ok(Pairs { source: source.shallow_clone(), data: solution.final_states() })
}
