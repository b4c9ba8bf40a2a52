//! The algebraically reversible scheme.

use super::tape::{self, Move, Record};
use super::{Mode, Problem, accumulate};
use crate::Solver;
use crate::solution::Solution;
use crate::stages::Stages;
use crate::stepper::{Point, Step, Stepper};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, grad, leaf, recorded};
use tch::Tensor;

#[derive(Debug)]
pub(super) struct Reversible {
    pub(super) coupling: f64,
}

#[derive(Debug)]
pub(super) struct Tape {
    records: Vec<Record>,
    /// Both states of each sample at its end, `[B, 2, …]`.
    end: Tensor,
}

impl Reversible {
    /// The same problem on pairs of states.
    fn paired(&self, problem: &Problem) -> Problem {
        let stepper = Coupled { base: problem.solver.stepper.clone(), coupling: self.coupling };
        let solver = Solver { stepper: Box::new(stepper), control: problem.solver.control.clone() };
        Problem { solver, ..problem.clone() }
    }
}

fn pair(y: &Tensor, z: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_stack(&[y, z], 1)?)
}

fn first_of_pairs(mut solution: Solution) -> Result<Solution> {
    solution.states = solution.states.f_select(2, 0)?;
    solution.last = solution.last.f_select(1, 0)?;
    Ok(solution)
}

impl Mode for Reversible {
    type Tape = Tape;

    fn forward(&self, problem: &Problem, y0: &Tensor) -> Result<(Solution, Tape)> {
        let paired = self.paired(problem);
        let (solution, records) = tape::record(&paired, &pair(y0, y0)?, &|_, _| ())?;
        let end = solution.last.shallow_clone();
        Ok((first_of_pairs(solution)?, Tape { records, end }))
    }

    fn backward(
        &self,
        problem: &Problem,
        inputs: &[Tensor],
        _states: &Tensor,
        grads: &Tensor,
        tape: &Tape,
    ) -> Result<Vec<Option<Tensor>>> {
        let parameters = &inputs[1..];
        let half = |i: i64| tape.end.f_select(1, i);
        let (mut y, mut z) = (half(0)?, half(1)?);
        let (mut a, mut c) = (y.f_zeros_like()?, z.f_zeros_like()?);
        let mut sums: Vec<Option<Tensor>> = parameters.iter().map(|_| None).collect();
        for record in tape.records.iter().rev() {
            a = record.arrive(&a, grads)?;
            let made = record.load(&y)?;
            let ends = [&y, &z, &a, &c].map(|x| made.pick(x));
            let [y1, z1, a1, c1] = ends;
            let (y1, z1, a1, c1) = (y1?, z1?, a1?, c1?);
            // z = z₁ + Ψ₋ₕ(t + h, y₁): its transposed derivative takes −c₁ to y₁.
            let reversed = Move {
                index: made.index.as_ref().map(Tensor::shallow_clone),
                rows: made.rows.clone(),
                t: made.t.offset(1.0, &made.dt)?,
                dt: made.dt.times(-1.0)?,
            };
            let back = increment(problem, &reversed, &y1, &c1.f_neg()?, parameters)?;
            let z0 = z1.f_add(&back.value)?;
            let a_total = a1.f_add(&back.by_state)?;
            // y₁ = λ y + (1 − λ) z + Ψₕ(t, z).
            let ahead = increment(problem, &made, &z0, &a_total, parameters)?;
            let rest = 1.0 - self.coupling;
            let y0 = y1
                .f_sub(&z0.f_mul_scalar(rest)?)?
                .f_sub(&ahead.value)?
                .f_div_scalar(self.coupling)?;
            let c0 = c1.f_add(&a_total.f_mul_scalar(rest)?)?.f_add(&ahead.by_state)?;
            (y, z) = (made.put(&y, &y0)?, made.put(&z, &z0)?);
            a = made.put(&a, &a_total.f_mul_scalar(self.coupling)?)?;
            c = made.put(&c, &c0)?;
            accumulate(&mut sums, back.by_parameters)?;
            accumulate(&mut sums, ahead.by_parameters)?;
        }
        // Both states start as y₀.
        let a = a.f_add(&c)?.f_add(&tape::at_start(problem, grads)?)?;
        Ok(std::iter::once(Some(a)).chain(sums).collect())
    }

    fn compose(&self, problem: &Problem, y0: &Tensor) -> Result<Solution> {
        first_of_pairs(self.paired(problem).run(&pair(y0, y0)?, true)?)
    }
}

/// `Ψₕ(t, y)`, the increment of one step of the base method, and products with its derivatives.
struct Increment {
    value: Tensor,
    by_state: Tensor,
    by_parameters: Vec<Option<Tensor>>,
}

fn increment(
    problem: &Problem,
    made: &Move,
    y: &Tensor,
    cotangent: &Tensor,
    parameters: &[Tensor],
) -> Result<Increment> {
    recorded(|| {
        let y = leaf(y)?;
        let end = problem.solver.stepper().propagate(&made.point(problem, &y))?;
        let wanted: Vec<&Tensor> =
            std::iter::once(&y).chain(parameters.iter().filter(|p| p.requires_grad())).collect();
        let mut found = grad(&[&end], &[Some(cotangent)], &wanted, Graph::Free)?.into_iter();
        let whole = found.next().flatten().map_or_else(|| y.f_zeros_like(), Ok)?;
        let by_parameters = parameters
            .iter()
            .map(|p| if p.requires_grad() { found.next().flatten() } else { None })
            .collect();
        Ok(Increment {
            value: end.f_sub(&y)?.f_detach()?,
            // Ψ is the step less its start.
            by_state: whole.f_sub(cotangent)?.f_detach()?,
            by_parameters,
        })
    })
}

/// `y₁ = λ y + (1 − λ) z + Ψₕ(t, z)`, `z₁ = z − Ψ₋ₕ(t + h, y₁)` on pairs `[b, 2, …]`.
#[derive(Debug)]
struct Coupled {
    base: Box<dyn Stepper>,
    coupling: f64,
}

impl Stepper for Coupled {
    fn order(&self) -> u32 {
        self.base.order()
    }

    fn error_power(&self) -> Option<u32> {
        self.base.error_power()
    }

    fn slope(&self, point: &Point<'_>, c: f64, y: &Tensor) -> Result<Tensor> {
        let half = |i: i64| self.base.slope(point, c, &y.f_select(1, i)?);
        pair(&half(0)?, &half(1)?)
    }

    fn step(&self, point: &Point<'_>) -> Result<Step> {
        let (y, z) = (point.y.f_select(1, 0)?, point.y.f_select(1, 1)?.f_contiguous()?);
        let slope = point.slope.map(|pair| pair.f_select(1, 1)).transpose()?;
        let ahead = self.base.step(&Point { y: &z, slope: slope.as_ref(), ..*point })?;
        let increment = ahead.y.f_sub(&z)?;
        let mixed = y.f_mul_scalar(self.coupling)?.f_add(&z.f_mul_scalar(1.0 - self.coupling)?)?;
        let y1 = mixed.f_add(&increment)?;
        let (t, dt) = (point.t.offset(1.0, point.dt)?, point.dt.times(-1.0)?);
        let back = self.base.step(&Point { t: &t, dt: &dt, y: &y1, slope: None, ..*point })?;
        let z1 = z.f_sub(&back.y.f_sub(&y1)?)?;
        let error = ahead.error.as_ref().map(|e| pair(e, e)).transpose()?;
        let evaluations = ahead.evaluations + back.evaluations;
        self.base.recycle(ahead);
        self.base.recycle(back);
        let stages = Stages::default();
        Ok(Step { y: pair(&y1, &z1)?, error, start: None, end: None, evaluations, stages })
    }

    fn clone_box(&self) -> Box<dyn Stepper> {
        Box::new(Self { base: self.base.clone(), coupling: self.coupling })
    }
}
