//! The continuous adjoint.

use super::{Mode, Problem, accumulate, backward_solver};
use crate::solution::Solution;
use crate::{Field, FromFn, Rows, Solver};
use maxlik_tensor::autograd::{Graph, grad, leaf, recorded};
use maxlik_tensor::{Result, host};
use tch::Tensor;

#[derive(Debug)]
pub(super) struct Adjoint {
    pub(super) solver: Option<Solver>,
    pub(super) seminorm: bool,
}

impl Mode for Adjoint {
    type Tape = ();

    fn forward(&self, problem: &Problem, y0: &Tensor) -> Result<(Solution, ())> {
        Ok((problem.run(y0, false)?, ()))
    }

    fn backward(
        &self,
        problem: &Problem,
        inputs: &[Tensor],
        states: &Tensor,
        grads: &Tensor,
        _tape: &(),
    ) -> Result<Vec<Option<Tensor>>> {
        let parts = Parts::new(problem, states);
        let parameters: Vec<&Tensor> = inputs[1..].iter().filter(|p| p.requires_grad()).collect();
        let mut a = grads.f_select(0, parts.count as i64)?;
        let mut sums: Vec<Option<Tensor>> = parameters.iter().map(|_| None).collect();
        let numbers: i64 = a.size().iter().product();
        for part in (0..parts.count).rev() {
            if parts.longest(part) > 0.0 {
                let seminorm = self.seminorm.then_some(2 * numbers);
                let solver = backward_solver(
                    &self.solver,
                    &problem.solver,
                    parts.longest(part),
                    parts.count,
                    seminorm,
                )?;
                let y = states.f_select(0, part as i64 + 1)?;
                let time = parts.time(part, &y)?;
                let back = solve_back(&solver, &problem.field, &time, &y, &a, &parameters)?;
                a = back.cotangent;
                accumulate(&mut sums, back.parameters)?;
            }
            a = a.f_add(&grads.f_select(0, part as i64)?)?;
        }
        Ok(arrange(a, inputs, sums))
    }

    fn compose(&self, problem: &Problem, y0: &Tensor) -> Result<Solution> {
        problem.run(y0, false)
    }
}

/// The gradients in the order of the inputs, with none for those that want none.
pub(super) fn arrange(
    a: Tensor,
    inputs: &[Tensor],
    sums: Vec<Option<Tensor>>,
) -> Vec<Option<Tensor>> {
    let mut sums = sums.into_iter();
    let by_parameters =
        inputs[1..].iter().map(|p| if p.requires_grad() { sums.next().flatten() } else { None });
    std::iter::once(Some(a)).chain(by_parameters).collect()
}

/// The wanted times in pairs of neighbours, each scaled to `[0, 1]`.
pub(super) struct Parts<'a> {
    problem: &'a Problem,
    batch: usize,
    pub(super) count: usize,
}

/// The time of each sample within a part: `t = begin + s · span`, `[B]`.
pub(super) struct PartTime {
    pub(super) begin: Tensor,
    pub(super) span: Tensor,
}

impl<'a> Parts<'a> {
    pub(super) fn new(problem: &'a Problem, states: &Tensor) -> Self {
        let size = states.size();
        Self { problem, batch: size[1] as usize, count: size[0] as usize - 1 }
    }

    fn ends(&self, part: usize, row: usize) -> (f64, f64) {
        let times = self.problem.times.of(row);
        (times[part], times[part + 1])
    }

    pub(super) fn longest(&self, part: usize) -> f64 {
        let spans = (0..self.batch).map(|row| self.ends(part, row)).map(|(a, b)| (b - a).abs());
        spans.fold(0.0, f64::max)
    }

    /// In double precision: the dtype of the state may not hold it.
    pub(super) fn time(&self, part: usize, y: &Tensor) -> Result<PartTime> {
        let ends: Vec<(f64, f64)> = (0..self.batch).map(|row| self.ends(part, row)).collect();
        let tensor = |values: Vec<f64>| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(&values)?.f_to_device(y.device())?)
        };
        Ok(PartTime {
            begin: tensor(ends.iter().map(|e| e.0).collect())?,
            span: tensor(ends.iter().map(|e| e.1 - e.0).collect())?,
        })
    }
}

struct Back {
    cotangent: Tensor,
    parameters: Vec<Option<Tensor>>,
}

/// Solves `(y, a, g)` from `s = 1` to 0 as one row of numbers.
fn solve_back(
    solver: &Solver,
    field: &dyn Field,
    time: &PartTime,
    y: &Tensor,
    a: &Tensor,
    parameters: &[&Tensor],
) -> Result<Back> {
    let numbers = y.numel() as i64;
    let count: i64 = parameters.iter().map(|p| p.numel() as i64).sum();
    let zeros = Tensor::f_zeros([count], (y.kind(), y.device()))?;
    let start = Tensor::f_cat(&[y.f_reshape([-1])?, a.f_reshape([-1])?, zeros], 0)?;
    let rate = FromFn(|s: &Tensor, state: &Tensor| {
        let state = state.f_select(0, 0)?;
        let y = state.f_narrow(0, 0, numbers)?.f_view(y.size().as_slice())?;
        let a = state.f_narrow(0, numbers, numbers)?.f_view(y.size().as_slice())?;
        let found = pull_back(field, time, host::scalar(s)?, &y, &a, parameters)?;
        let flat =
            found.iter().map(|x| x.f_reshape([-1])).collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&flat, 0)?.f_unsqueeze(0)?)
    });
    let times = Tensor::f_from_slice(&[1.0, 0.0])?;
    let solution = solver.solve(&rate, &start.f_unsqueeze(0)?, &times)?;
    solution.ensure_success()?;
    let end = solution.last.f_select(0, 0)?;
    let cotangent = end.f_narrow(0, numbers, numbers)?.f_view(y.size().as_slice())?;
    let mut offset = 2 * numbers;
    let mut gradients = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        let length = parameter.numel() as i64;
        let part = end.f_narrow(0, offset, length)?.f_view(parameter.size().as_slice())?;
        gradients.push(Some(part.f_to_kind(parameter.kind())?));
        offset += length;
    }
    Ok(Back { cotangent, parameters: gradients })
}

/// `dy/ds`, `da/ds` and `dg/ds` for each parameter, without a graph: with `t = t₀ + s Δ`,
/// `Δ f`, `−Δ aᵀ ∂f/∂y` and `−Σ Δ aᵀ ∂f/∂θ`.
pub(super) fn pull_back(
    field: &dyn Field,
    time: &PartTime,
    s: f64,
    y: &Tensor,
    a: &Tensor,
    parameters: &[&Tensor],
) -> Result<Vec<Tensor>> {
    let t = time.span.f_mul_scalar(s)?.f_add(&time.begin)?.f_to_kind(y.kind())?;
    let span = crate::time::column(&time.span, y)?;
    recorded(|| {
        let y = leaf(y)?;
        let rate = field.rate(&t, &y, &Rows::all())?;
        let weighted = a.f_mul(&span)?.f_neg()?;
        let mut found = Vec::with_capacity(parameters.len() + 2);
        found.push(rate.f_detach()?.f_mul(&span)?);
        let inputs: Vec<&Tensor> = std::iter::once(&y).chain(parameters.iter().copied()).collect();
        let grads = if rate.requires_grad() {
            grad(&[&rate], &[Some(&weighted)], &inputs, Graph::Free)?
        } else {
            inputs.iter().map(|_| None).collect()
        };
        for (input, grad) in inputs.iter().zip(grads) {
            let grad = grad.map_or_else(|| input.f_zeros_like(), Ok)?;
            found.push(grad.f_detach()?.f_to_kind(y.kind())?);
        }
        Ok(found)
    })
}
