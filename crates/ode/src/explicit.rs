//! The stepper of all explicit Runge–Kutta methods.

use crate::Time;
use crate::dense::restep;
use crate::stages::Stages;
use crate::stepper::{Point, Query, Step, Stepper};
use crate::tableau::{Dense, Estimate, Tableau};
use crate::time::numbers;
use maxlik_tensor::Result;
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Any explicit Runge–Kutta method.
///
/// Beside the evaluations of the field, a stage costs one copy and one matrix–vector product
/// over all slopes so far.
#[derive(Debug)]
pub struct Explicit {
    tableau: Tableau,
    coefficients: RefCell<Option<Coefficients>>,
    spare: RefCell<Option<Tensor>>,
}

/// The numbers of a tableau as tensors of the state's dtype and device.
#[derive(Debug)]
struct Coefficients {
    kind: Kind,
    device: Device,
    matrix: Vec<Tensor>,
    weights: Tensor,
    errors: Vec<Tensor>,
    further: Vec<Tensor>,
}

impl Explicit {
    /// The method of that tableau.
    #[must_use]
    pub fn new(tableau: Tableau) -> Self {
        Self { tableau, coefficients: RefCell::new(None), spare: RefCell::new(None) }
    }

    /// Takes the coefficients out, for the time of a step: a field that itself solves with this
    /// stepper finds none, and makes its own.
    fn take(&self, y: &Tensor) -> Result<Coefficients> {
        if let Some(found) = self.coefficients.take()
            && found.kind == y.kind()
            && found.device == y.device()
        {
            return Ok(found);
        }
        let errors = match self.tableau.error {
            Estimate::None => vec![],
            Estimate::Embedded { weights, .. } => vec![weights],
            Estimate::Paired { fine, coarse, .. } => vec![fine, coarse],
        };
        let further = match self.tableau.dense {
            Dense::Nested { matrix, .. } => matrix,
            _ => &[],
        };
        let all = |rows: &[&[f64]]| rows.iter().map(|row| numbers(row, y)).collect::<Result<_>>();
        Ok(Coefficients {
            kind: y.kind(),
            device: y.device(),
            matrix: all(self.tableau.matrix)?,
            weights: numbers(self.tableau.weights, y)?,
            errors: all(&errors)?,
            further: all(further)?,
        })
    }

    fn capacity(&self) -> usize {
        let further = match self.tableau.dense {
            Dense::Nested { nodes, .. } => nodes.len(),
            _ => 0,
        };
        self.tableau.stages() + usize::from(!self.tableau.is_fsal()) + further
    }

    /// Makes the slope at the end and the further stages of the dense output.
    fn complete(&self, point: &Point<'_>, step: &mut Step) -> Result<()> {
        if !self.tableau.is_fsal() && step.stages.len() == self.tableau.stages() {
            let end = match step.end.take() {
                Some(end) => end,
                None => {
                    step.evaluations += 1;
                    point.rate(1.0, &step.y)?
                }
            };
            step.stages.push(&end)?;
            step.end = Some(end);
        }
        let Dense::Nested { nodes, .. } = self.tableau.dense else { return Ok(()) };
        let done = step.stages.len() + nodes.len() - self.capacity();
        let coefficients = self.take(point.y)?;
        for (c, row) in nodes.iter().zip(&coefficients.further).skip(done) {
            let y = step.stages.advance(point.y, point.dt, row)?;
            let k = point.rate(*c, &y)?;
            step.stages.push(&k)?;
            step.evaluations += 1;
        }
        self.coefficients.replace(Some(coefficients));
        Ok(())
    }
}

impl Stepper for Explicit {
    fn order(&self) -> u32 {
        self.tableau.order
    }

    fn error_power(&self) -> Option<u32> {
        match self.tableau.error {
            Estimate::None => None,
            Estimate::Embedded { power, .. } | Estimate::Paired { power, .. } => Some(power),
        }
    }

    fn step(&self, point: &Point<'_>) -> Result<Step> {
        let coefficients = self.take(point.y)?;
        let mut evaluations = 0;
        let mut stages = Stages::new(self.capacity(), self.spare.take());
        let start = match point.slope {
            Some(slope) => slope.shallow_clone(),
            None => {
                evaluations += 1;
                point.rate(0.0, point.y)?
            }
        };
        stages.push(&start)?;
        let mut last = None;
        for (row, c) in coefficients.matrix.iter().zip(&self.tableau.nodes[1..]) {
            let y = stages.advance(point.y, point.dt, row)?;
            let k = point.rate(*c, &y)?;
            stages.push(&k)?;
            evaluations += 1;
            last = Some((y, k));
        }
        let (y, end) = match last {
            Some((y, k)) if self.tableau.is_fsal() => (y, Some(k)),
            _ => (stages.advance(point.y, point.dt, &coefficients.weights)?, None),
        };
        let error = estimate(&stages, point.dt, &coefficients.errors)?;
        self.coefficients.replace(Some(coefficients));
        Ok(Step { y, error, start: Some(start), end, evaluations, stages })
    }

    fn propagate(&self, point: &Point<'_>) -> Result<Tensor> {
        let coefficients = self.take(point.y)?;
        let mut stages = Stages::new(self.capacity(), self.spare.take());
        match point.slope {
            Some(slope) => stages.push(slope)?,
            None => stages.push(&point.rate(0.0, point.y)?)?,
        }
        let fsal = self.tableau.is_fsal();
        // The last slope of such a method is not needed for the state at the end.
        let inner = coefficients.matrix.len() - usize::from(fsal);
        for (row, c) in coefficients.matrix[..inner].iter().zip(&self.tableau.nodes[1..]) {
            let y = stages.advance(point.y, point.dt, row)?;
            stages.push(&point.rate(*c, &y)?)?;
        }
        let weights = if fsal { &coefficients.matrix[inner] } else { &coefficients.weights };
        let y = stages.advance(point.y, point.dt, weights)?;
        self.coefficients.replace(Some(coefficients));
        if let Some(buffer) = stages.into_buffer() {
            self.spare.replace(Some(buffer));
        }
        Ok(y)
    }

    fn between(
        &self,
        point: &Point<'_>,
        step: &mut Step,
        query: &Query<'_>,
    ) -> Result<(Tensor, u64)> {
        if self.tableau.dense == Dense::Restep {
            return restep(self, point, step, query);
        }
        if !matches!(self.tableau.dense, Dense::Polynomial(_)) {
            self.complete(point, step)?;
        }
        let weights = |theta: f64| self.tableau.dense_weights(theta).unwrap_or_default();
        let y = match query {
            Query::All(theta) => {
                let weights = numbers(&weights(*theta), point.y)?;
                step.stages.advance(point.y, point.dt, &weights)?
            }
            Query::Some { rows, theta } => {
                let weights: Vec<Vec<f64>> = theta.iter().map(|&theta| weights(theta)).collect();
                step.stages.advance_rows(point.y, point.dt, rows, &weights)?
            }
        };
        Ok((y, 0))
    }

    fn recycle(&self, step: Step) {
        if let Some(buffer) = step.stages.into_buffer() {
            self.spare.replace(Some(buffer));
        }
    }

    fn tableau(&self) -> Option<&Tableau> {
        Some(&self.tableau)
    }

    fn clone_box(&self) -> Box<dyn Stepper> {
        Box::new(Self::new(self.tableau))
    }
}

impl From<Tableau> for Box<dyn Stepper> {
    fn from(tableau: Tableau) -> Self {
        Box::new(Explicit::new(tableau))
    }
}

/// The error estimate, without a graph.
fn estimate(stages: &Stages, dt: &Time, weights: &[Tensor]) -> Result<Option<Tensor>> {
    let _no_grad = tch::no_grad_guard();
    match weights {
        [one] => Ok(Some(dt.scale(&stages.sum(one)?)?)),
        [fine, coarse] => {
            let (u, v) = (dt.scale(&stages.sum(fine)?)?, dt.scale(&stages.sum(coarse)?)?);
            // The least normal number keeps 0/0 away.
            let norm = u.f_square()?.f_add(&v.f_square()?.f_mul_scalar(0.01)?)?;
            let norm = norm.f_sqrt()?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
            Ok(Some(u.f_mul(&u.f_abs()?)?.f_div(&norm)?))
        }
        _ => Ok(None),
    }
}
