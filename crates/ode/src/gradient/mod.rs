//! Gradients through solutions that keep less than every step.

mod adjoint;
mod checkpoint;
mod interpolated;
mod reversible;
mod tape;
pub(crate) mod times;

use crate::lane::Times;
use crate::solution::Solution;
use crate::solve::{Plan, Solver};
use crate::{Control, SharedField};
use maxlik_tensor::custom::{self, Forward, FusedOp};
use maxlik_tensor::{Error, Result};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use tch::Tensor;

/// How gradients flow through a solution, beside recording every step.
#[derive(Debug, Clone)]
pub enum Gradient {
    /// Exact gradients of the steps that were made, which are computed again from a few stored
    /// states. With `s` of them, `C(s + r, s)` steps are computed again at most `r` times each
    /// (Griewank and Walther 2000, "Algorithm 799: revolve"). Steps end at the wanted times.
    Checkpointed {
        /// Greatest number of stored states.
        snapshots: usize,
    },
    /// The continuous adjoint: `da/dt = −aᵀ ∂f/∂y`, `dg/dt = −aᵀ ∂f/∂θ`, solved backward together
    /// with `y` (Chen, Rubanova, Bettencourt and Duvenaud 2018, "Neural ordinary differential
    /// equations", arXiv:1806.07366). Keeps the wanted states alone; as exact as the two solves.
    Adjoint {
        /// The backward solver; the forward one where it is `None`.
        solver: Option<Solver>,
        /// Whether the error of the parameters' gradient is left out of the step control, which is
        /// an integral and needs no small steps (Kidger, Chen and Lyons 2021, arXiv:2009.09457).
        seminorm: bool,
    },
    /// The continuous adjoint with `y` read from the cubic through the forward steps instead of
    /// solved backward: stable where `y` is not, at the memory of all steps.
    Interpolated {
        /// The backward solver; the forward one where it is `None`.
        solver: Option<Solver>,
    },
    /// Exact gradients of the reversible scheme on the solver's method: two coupled states that can
    /// be stepped back exactly, at twice the evaluations (McCallum and Foster 2024, "Efficient,
    /// accurate and stable gradients for neural ODEs", arXiv:2410.11648). Steps end at the wanted
    /// times.
    Reversible {
        /// The coupling `λ` in (0, 1]; the paper takes 0.99 to 0.999.
        coupling: f64,
    },
}

/// What a mode does in place of recording every step.
trait Mode: Debug + Send {
    /// What the backward pass needs of the forward pass beside the states.
    type Tape: Send;

    /// The solve, without a graph.
    fn forward(&self, problem: &Problem, y0: &Tensor) -> Result<(Solution, Self::Tape)>;

    /// The gradients by `inputs` (`y0`, then the parameters), given those of the states.
    fn backward(
        &self,
        problem: &Problem,
        inputs: &[Tensor],
        states: &Tensor,
        grads: &Tensor,
        tape: &Self::Tape,
    ) -> Result<Vec<Option<Tensor>>>;

    /// The solve with every step recorded.
    fn compose(&self, problem: &Problem, y0: &Tensor) -> Result<Solution>;
}

/// What is solved.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    solver: Solver,
    field: SharedField,
    times: Times,
}

impl Problem {
    fn run(&self, y0: &Tensor, land: bool) -> Result<Solution> {
        self.solver.run(&self.field, y0, &self.times, &Plan { land, ..Plan::default() })
    }
}

pub(crate) fn solve(
    solver: &Solver,
    field: &SharedField,
    parameters: &[Tensor],
    y0: &Tensor,
    times: Times,
    gradient: &Gradient,
) -> Result<Solution> {
    let problem = Problem { solver: solver.clone(), field: field.clone(), times };
    match gradient {
        Gradient::Checkpointed { snapshots } => {
            let mode = checkpoint::Checkpointed { snapshots: (*snapshots).max(1) };
            apply(problem, mode, y0, parameters)
        }
        Gradient::Adjoint { solver, seminorm } => {
            let mode = adjoint::Adjoint { solver: solver.clone(), seminorm: *seminorm };
            apply(problem, mode, y0, parameters)
        }
        Gradient::Interpolated { solver } => {
            apply(problem, interpolated::Interpolated { solver: solver.clone() }, y0, parameters)
        }
        Gradient::Reversible { coupling } => {
            if !(*coupling > 0.0 && *coupling <= 1.0) {
                let why = format!("expected a number in (0, 1], got {coupling}");
                return Err(Error::config("coupling", why));
            }
            apply(problem, reversible::Reversible { coupling: *coupling }, y0, parameters)
        }
    }
}

/// Records the whole solve as one node of the graph.
fn apply<M: Mode + 'static>(
    problem: Problem,
    mode: M,
    y0: &Tensor,
    parameters: &[Tensor],
) -> Result<Solution> {
    let outcome = Arc::new(Mutex::new(None));
    let op = Op { problem, mode, tape: Mutex::new(None), outcome: Arc::clone(&outcome) };
    let inputs: Vec<&Tensor> = std::iter::once(y0).chain(parameters).collect();
    let states = custom::apply(op, &inputs)?;
    let solution = lock(&outcome).take();
    match (solution, states.into_iter().next()) {
        (Some(mut solution), Some(states)) => {
            solution.states = states;
            Ok(solution)
        }
        _ => Err(Error::unsupported("a solve without an outcome")),
    }
}

struct Op<M: Mode> {
    problem: Problem,
    mode: M,
    tape: Mutex<Option<M::Tape>>,
    outcome: Arc<Mutex<Option<Solution>>>,
}

impl<M: Mode + 'static> FusedOp for Op<M> {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let _no_grad = tch::no_grad_guard();
        let (solution, tape) = self.mode.forward(&self.problem, &inputs[0])?;
        let states = solution.states.shallow_clone();
        *lock(&self.tape) = Some(tape);
        *lock(&self.outcome) = Some(solution);
        Ok(Forward { outputs: vec![states.shallow_clone()], saved: vec![states.f_detach_copy()?] })
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let tape = lock(&self.tape);
        match (&*tape, saved, grads) {
            (Some(tape), [states], [grads]) => {
                self.mode.backward(&self.problem, inputs, states, grads, tape)
            }
            _ => Err(Error::unsupported("a backward pass without a forward pass")),
        }
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let solution = self.mode.compose(&self.problem, &inputs[0])?;
        let states = solution.states.shallow_clone();
        *lock(&self.outcome) = Some(solution);
        Ok(vec![states])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds what was found to running sums.
pub(crate) fn accumulate(sums: &mut [Option<Tensor>], found: Vec<Option<Tensor>>) -> Result<()> {
    for (sum, found) in sums.iter_mut().zip(found) {
        *sum = match (sum.take(), found) {
            (Some(sum), Some(found)) => Some(sum.f_add(&found)?),
            (sum, found) => sum.or(found),
        };
    }
    Ok(())
}

/// The backward solver of a continuous adjoint over a part of the time that is scaled to `[0, 1]`:
/// `longest` is the greatest span of a sample in that part, of `parts`.
fn backward_solver(
    given: &Option<Solver>,
    forward: &Solver,
    longest: f64,
    parts: usize,
    seminorm: Option<i64>,
) -> Result<Solver> {
    use crate::{Adaptive, Batching, Bound, Grid};
    let solver = given.as_ref().unwrap_or(forward);
    let control = match &solver.control {
        Control::Fixed(Grid::Count(n)) => Control::Fixed(Grid::Count(n.div_ceil(parts.max(1)))),
        Control::Fixed(Grid::Size(h)) => {
            Control::Fixed(Grid::Count((longest / h - 1e-9).ceil().max(1.0) as usize))
        }
        Control::Adaptive(adaptive) => {
            if !adaptive.jump_t.is_empty() || !adaptive.step_t.is_empty() {
                return Err(Error::unsupported("a continuous adjoint with step_t or jump_t"));
            }
            // One number stands for those of all dimensions: the state is of another shape.
            let least = |bound: &Bound| match bound {
                Bound::All(value) => Bound::All(*value),
                Bound::Each(values) => {
                    Bound::All(values.iter().copied().fold(f64::INFINITY, f64::min))
                }
            };
            let scale = if longest > 0.0 { 1.0 / longest } else { 1.0 };
            Control::Adaptive(Adaptive {
                rtol: least(&adaptive.rtol),
                atol: least(&adaptive.atol),
                batching: Batching::Joint,
                first_step: adaptive.first_step.map(|h| h * scale),
                min_step: adaptive.min_step * scale,
                max_step: adaptive.max_step * scale,
                seminorm,
                ..adaptive.clone()
            })
        }
    };
    Solver::new(solver.stepper.clone(), control)
}
