//! Steps that stay on a manifold.

use super::Manifold;
use crate::stages::Stages;
use crate::stepper::{Point, Query, Step, Stepper};
use maxlik_tensor::Result;
use std::sync::Arc;
use tch::Tensor;

/// A method whose steps are projected back to the manifold, which keeps its order (Hairer, Lubich and
/// Wanner, "Geometric numerical integration", sec. IV.4).
///
/// The first `numbers` of each event are the point; what follows, such as the log-density of a
/// flow, is left alone.
#[derive(Debug, Clone)]
pub struct Projected {
    stepper: Box<dyn Stepper>,
    manifold: Arc<dyn Manifold>,
    numbers: i64,
}

impl Projected {
    /// The method `stepper` on a manifold of points with so many numbers.
    pub fn new(
        stepper: impl Into<Box<dyn Stepper>>,
        manifold: impl Manifold + 'static,
        numbers: i64,
    ) -> Self {
        Self { stepper: stepper.into(), manifold: Arc::new(manifold), numbers }
    }

    fn project(&self, y: &Tensor) -> Result<Tensor> {
        let more = y.size()[1] - self.numbers;
        let point = self.manifold.project(&y.f_narrow(1, 0, self.numbers)?)?;
        if more == 0 {
            return Ok(point);
        }
        Ok(Tensor::f_cat(&[point, y.f_narrow(1, self.numbers, more)?], 1)?)
    }
}

impl Stepper for Projected {
    fn order(&self) -> u32 {
        self.stepper.order()
    }

    fn error_power(&self) -> Option<u32> {
        self.stepper.error_power()
    }

    fn step(&self, point: &Point<'_>) -> Result<Step> {
        let step = self.stepper.step(point)?;
        // The slope at the end belongs to the state before its projection.
        Ok(Step { y: self.project(&step.y)?, end: None, ..step })
    }

    fn propagate(&self, point: &Point<'_>) -> Result<Tensor> {
        self.project(&self.stepper.propagate(point)?)
    }

    fn between(
        &self,
        point: &Point<'_>,
        step: &mut Step,
        query: &Query<'_>,
    ) -> Result<(Tensor, u64)> {
        let (y, evaluations) = self.stepper.between(point, step, query)?;
        Ok((self.project(&y)?, evaluations))
    }

    fn recycle(&self, step: Step) {
        self.stepper.recycle(step);
    }

    fn clone_box(&self) -> Box<dyn Stepper> {
        Box::new(self.clone())
    }
}

/// Steps along geodesics, on states that are points of the manifold alone.
#[derive(Debug, Clone)]
pub struct Geodesic {
    manifold: Arc<dyn Manifold>,
    midpoint: bool,
}

impl Geodesic {
    /// `y₁ = exp_y(h f(y))`, of order 1.
    pub fn euler(manifold: impl Manifold + 'static) -> Self {
        Self { manifold: Arc::new(manifold), midpoint: false }
    }

    /// `y₁ = exp_y(h Γ f(m))` with the velocity at `m = exp_y(½ h f(y))` transported back to `y`: of
    /// order 2, with the first method for its error estimate.
    pub fn midpoint(manifold: impl Manifold + 'static) -> Self {
        Self { manifold: Arc::new(manifold), midpoint: true }
    }
}

impl Stepper for Geodesic {
    fn order(&self) -> u32 {
        if self.midpoint { 2 } else { 1 }
    }

    fn error_power(&self) -> Option<u32> {
        self.midpoint.then_some(2)
    }

    fn step(&self, point: &Point<'_>) -> Result<Step> {
        let mut evaluations = 0;
        let start = match point.slope {
            Some(slope) => slope.shallow_clone(),
            None => {
                evaluations += 1;
                point.rate(0.0, point.y)?
            }
        };
        let (x, manifold) = (point.y, &self.manifold);
        let whole = point.dt.scale(&manifold.tangent(x, &start)?)?;
        let stages = Stages::default();
        if !self.midpoint {
            let y = manifold.exp(x, &whole)?;
            let start = Some(start);
            return Ok(Step { y, error: None, start, end: None, evaluations, stages });
        }
        let half = whole.f_mul_scalar(0.5)?;
        let middle = manifold.exp(x, &half)?;
        let slope = manifold.tangent(&middle, &point.rate(0.5, &middle)?)?;
        evaluations += 1;
        let back = manifold.log(&middle, x)?;
        let velocity = point.dt.scale(&manifold.transport(&middle, &back, &slope)?)?;
        let y = manifold.exp(x, &velocity)?;
        let error = {
            let _no_grad = tch::no_grad_guard();
            Some(velocity.f_sub(&whole)?)
        };
        Ok(Step { y, error, start: Some(start), end: None, evaluations, stages })
    }

    fn between(
        &self,
        point: &Point<'_>,
        step: &mut Step,
        query: &Query<'_>,
    ) -> Result<(Tensor, u64)> {
        crate::dense::restep(self, point, step, query)
    }

    fn clone_box(&self) -> Box<dyn Stepper> {
        Box::new(self.clone())
    }
}
