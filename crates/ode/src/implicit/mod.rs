//! Implicit methods for stiff fields.

mod linear;
mod rosenbrock;
mod tableau;

pub use rosenbrock::Rosenbrock23;
pub use tableau::{IMPLICIT_EULER, ImplicitTableau, KVAERNO3, KVAERNO5, TRAPEZOID};

use crate::dense::{hermite, restep};
use crate::stages::Stages;
use crate::stepper::{Point, Query, Step, Stepper};
use crate::time::{flat_rows, numbers};
use crate::trace::is_recording;
use linear::{Factors, jacobian};
use maxlik_tensor::{Result, host};
use tch::{Kind, Tensor};

/// A singly diagonally implicit Runge–Kutta method whose first stage is explicit.
///
/// Each stage is found by Newton's method with the Jacobian of the whole field at the start of the
/// step, `[b, D, D]` by `D` backward passes, so that it suits events of up to some hundred numbers.
/// Where the iteration does not converge for a sample, its step counts as failed and is made
/// smaller. Gradients are those of the implicit function, not of the iteration.
#[derive(Debug, Clone)]
pub struct Implicit {
    tableau: ImplicitTableau,
    iterations: usize,
    tolerance: Option<f64>,
}

impl Implicit {
    /// The method of that tableau, with up to 10 iterations a stage.
    #[must_use]
    pub fn new(tableau: ImplicitTableau) -> Self {
        Self { tableau, iterations: 10, tolerance: None }
    }

    /// With other limits of the iteration, which ends where the last change of a stage is below
    /// `tolerance · (1 + |y|)`; by default 10⁻¹⁰ in double and 10⁻⁵ in single precision.
    #[must_use]
    pub fn newton(self, iterations: usize, tolerance: f64) -> Self {
        Self { iterations: iterations.max(1), tolerance: Some(tolerance), ..self }
    }

    fn tolerance(&self, y: &Tensor) -> f64 {
        self.tolerance.unwrap_or(if y.kind() == Kind::Double { 1e-10 } else { 1e-5 })
    }

    /// The slope `k = f(t + c h, base + h γ k)`, by Newton's method from `guess`.
    fn stage(
        &self,
        point: &Point<'_>,
        c: f64,
        base: &Tensor,
        guess: &Tensor,
        factors: &Factors,
    ) -> Result<Stage> {
        let _no_grad = tch::no_grad_guard();
        let (base, mut k) = (base.f_detach()?, guess.f_detach()?);
        let gamma = self.tableau.diagonal;
        let h = point.dt.times(gamma)?;
        let scale =
            flat_rows(&base)?.f_abs()?.f_amax([1_i64].as_slice(), false)?.f_add_scalar(1.0)?;
        let mut evaluations = 0;
        for _ in 0..self.iterations {
            let residual = point.rate(c, &h.advance(&base, &k)?)?.f_sub(&k)?;
            evaluations += 1;
            let change = factors.solve(&residual)?;
            k = k.f_add(&change)?;
            let moved =
                flat_rows(&h.scale(&change)?)?.f_abs()?.f_amax([1_i64].as_slice(), false)?;
            let moved = host::to_vec(&moved.f_div(&scale)?)?;
            if moved.iter().all(|m| *m <= self.tolerance(&base)) {
                return Ok(Stage { k, evaluations, failed: Vec::new() });
            }
            if moved.iter().any(|m| !m.is_finite()) {
                break;
            }
        }
        let residual = point.rate(c, &h.advance(&base, &k)?)?.f_sub(&k)?;
        let moved = flat_rows(&h.scale(&factors.solve(&residual)?)?)?.f_abs()?;
        let moved = host::to_vec(&moved.f_amax([1_i64].as_slice(), false)?.f_div(&scale)?)?;
        let failed = |m: &f64| m.is_nan() || *m > self.tolerance(&base);
        Ok(Stage { k, evaluations: evaluations + 1, failed: moved.iter().map(failed).collect() })
    }

    /// The same slope with a graph: one more step of Newton's method, with the Jacobian at the
    /// solution, has the value of the solution and the derivative of the implicit function.
    fn attach(&self, point: &Point<'_>, c: f64, base: &Tensor, k: &Tensor) -> Result<Tensor> {
        if !is_recording()? {
            return Ok(k.shallow_clone());
        }
        let h = point.dt.times(self.tableau.diagonal)?;
        let y = h.advance(base, k)?;
        let rate = point.rate(c, &y)?;
        if !rate.requires_grad() {
            return Ok(k.shallow_clone());
        }
        let matrix = jacobian(point, c, &y.f_detach()?)?.by_state;
        let factors = Factors::new(&matrix, &h, y.size().as_slice())?;
        Ok(k.f_add(&factors.solve(&rate.f_sub(k)?)?)?)
    }
}

struct Stage {
    k: Tensor,
    evaluations: u64,
    /// For each row, whether the iteration failed; empty where all converged.
    failed: Vec<bool>,
}

impl Stepper for Implicit {
    fn order(&self) -> u32 {
        self.tableau.order
    }

    fn error_power(&self) -> Option<u32> {
        Some(self.tableau.power)
    }

    fn step(&self, point: &Point<'_>) -> Result<Step> {
        let tableau = &self.tableau;
        let mut evaluations = 0;
        let start = match point.slope {
            Some(slope) => slope.shallow_clone(),
            None => {
                evaluations += 1;
                point.rate(0.0, point.y)?
            }
        };
        let matrix = jacobian(point, 0.0, &point.y.f_detach()?)?.by_state;
        evaluations += 1;
        let h = point.dt.times(tableau.diagonal)?;
        let factors = Factors::new(&matrix, &h, point.y.size().as_slice())?;
        let mut stages = Stages::new(tableau.matrix.len() + 1, None);
        stages.push(&start)?;
        let mut k = start.shallow_clone();
        let mut failed = vec![false; usize::try_from(point.y.size()[0]).unwrap_or(0)];
        for (row, c) in tableau.matrix.iter().zip(tableau.nodes) {
            let base = stages.advance(point.y, point.dt, &numbers(row, point.y)?)?;
            let found = self.stage(point, *c, &base, &k, &factors)?;
            evaluations += found.evaluations;
            failed.iter_mut().zip(&found.failed).for_each(|(all, now)| *all |= now);
            k = self.attach(point, *c, &base, &found.k)?;
            stages.push(&k)?;
        }
        let mut y = stages.advance(point.y, point.dt, &numbers(tableau.weights, point.y)?)?;
        let mut error = {
            let _no_grad = tch::no_grad_guard();
            point.dt.scale(&stages.sum(&numbers(tableau.error, point.y)?)?)?
        };
        if failed.contains(&true) {
            // Not a number: no control accepts it, and a fixed step ends with that status.
            let mark: Vec<f64> = failed.iter().map(|f| if *f { f64::NAN } else { 0.0 }).collect();
            let mark = crate::time::column(&numbers(&mark, &y)?, &y)?;
            y = y.f_add(&mark)?;
            error = error.f_add(&mark)?;
        }
        let error = Some(error);
        Ok(Step { y, error, start: Some(start), end: Some(k), evaluations, stages })
    }

    fn between(
        &self,
        point: &Point<'_>,
        step: &mut Step,
        query: &Query<'_>,
    ) -> Result<(Tensor, u64)> {
        if self.tableau.order > 4 {
            return restep(self, point, step, query);
        }
        hermite(point, step, query).map(|y| (y, 0))
    }

    fn clone_box(&self) -> Box<dyn Stepper> {
        Box::new(self.clone())
    }
}

impl From<ImplicitTableau> for Box<dyn Stepper> {
    fn from(tableau: ImplicitTableau) -> Self {
        Box::new(Implicit::new(tableau))
    }
}
