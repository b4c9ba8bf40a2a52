//! A linearly implicit method.

use super::linear::{Factors, jacobian};
use crate::stages::Stages;
use crate::stepper::{Point, Step, Stepper};
use maxlik_tensor::Result;

/// The Rosenbrock pair 2(3) of Shampine and Reichelt (1997, "The MATLAB ODE suite", sec. 3.1,
/// `ode23s`): two linear systems a step and no iteration, L-stable, for stiff fields at moderate
/// tolerances.
///
/// The Jacobian is that of the whole event, `[b, D, D]` by `D` backward passes. Where gradients are
/// recorded, it is differentiated, too.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rosenbrock23;

impl Stepper for Rosenbrock23 {
    fn order(&self) -> u32 {
        2
    }

    fn error_power(&self) -> Option<u32> {
        Some(3)
    }

    fn step(&self, point: &Point<'_>) -> Result<Step> {
        let root = std::f64::consts::SQRT_2;
        let (d, e32) = (1.0 / (2.0 + root), 6.0 + root);
        let mut evaluations = 3;
        let f0 = match point.slope {
            Some(slope) => slope.shallow_clone(),
            None => {
                evaluations += 1;
                point.rate(0.0, point.y)?
            }
        };
        let h = point.dt;
        let step = h.times(d)?;
        // The method's order does not need the derivative of the Jacobian, but its gradient does.
        let at = if f0.requires_grad() && !point.y.requires_grad() {
            maxlik_tensor::autograd::leaf(point.y)?
        } else {
            point.y.shallow_clone()
        };
        let derivatives = jacobian(point, 0.0, &at)?;
        let factors = Factors::new(&derivatives.by_state, &step, point.y.size().as_slice())?;
        let shape = point.y.size();
        let drift = step.scale(&derivatives.by_time)?.f_reshape(shape.as_slice())?;
        let k1 = factors.solve(&f0.f_add(&drift)?)?;
        let f1 = point.rate(0.5, &h.times(0.5)?.advance(point.y, &k1)?)?;
        let k2 = factors.solve(&f1.f_sub(&k1)?)?.f_add(&k1)?;
        let y = h.advance(point.y, &k2)?;
        let f2 = point.rate(1.0, &y)?;
        let error = {
            let _no_grad = tch::no_grad_guard();
            let right = f2
                .f_sub(&k2.f_sub(&f1)?.f_mul_scalar(e32)?)?
                .f_sub(&k1.f_sub(&f0)?.f_mul_scalar(2.0)?)?
                .f_add(&drift)?;
            let k3 = factors.solve(&right)?;
            h.times(1.0 / 6.0)?.scale(&k1.f_sub(&k2.f_mul_scalar(2.0)?)?.f_add(&k3)?)?
        };
        let (start, end, error) = (Some(f0), Some(f2), Some(error));
        Ok(Step { y, error, start, end, evaluations, stages: Stages::default() })
    }

    fn clone_box(&self) -> Box<dyn Stepper> {
        Box::new(*self)
    }
}
