//! The size of the first step.

use crate::Time;
use crate::control::Adaptive;
use crate::stepper::{Point, Stepper};
use maxlik_tensor::{Result, host};
use tch::Tensor;

/// The first steps (positive), one for each row or one for all, and the slope at the start.
pub(crate) struct First {
    pub(crate) sizes: Vec<f64>,
    pub(crate) slope: Tensor,
}

/// The estimate of Hairer, Nørsett and Wanner ("Solving Ordinary Differential Equations I", sec.
/// II.4): with `d₀ = ‖y₀‖`, `d₁ = ‖f₀‖`, a trial step `h₀ = d₀ / (100 d₁)` of Euler's method and
/// `d₂ = ‖f₁ − f₀‖ / h₀`, the first step is `min(100 h₀, (0.01 / max(d₁, d₂))^(1/q))`.
///
/// `point.dt` is the direction, ±1.
pub(crate) fn estimate(
    stepper: &dyn Stepper,
    point: &Point<'_>,
    adaptive: &Adaptive,
) -> Result<First> {
    let power = stepper.error_power().unwrap_or(1);
    let slope = stepper.slope(point, 0.0, point.y)?;
    let _no_grad = tch::no_grad_guard();
    let scale = adaptive.scale(&point.y.f_abs()?)?;
    let norms = |x: &Tensor| host::to_vec(&adaptive.norm(x, &scale)?);
    let (d0, d1) = (norms(point.y)?, norms(&slope)?);
    let trials: Vec<f64> =
        d0.iter().zip(&d1).map(|(d0, d1)| first_guess(*d0, *d1).min(adaptive.max_step)).collect();
    let dt = match (point.dt, trials.as_slice()) {
        (Time::Shared(sign), [h]) => Time::Shared(sign * h),
        (Time::Each(sign), _) => {
            Time::Each(sign.f_mul(&Tensor::f_from_slice(&trials)?.f_to_device(sign.device())?)?)
        }
        (Time::Shared(sign), _) => Time::Shared(sign * 1e-6),
    };
    let further = Point { dt: &dt, ..*point };
    let change = stepper.slope(&further, 1.0, &dt.advance(point.y, &slope)?)?.f_sub(&slope)?;
    let d2 = norms(&change)?;
    let sizes = trials
        .iter()
        .zip(d1.iter().zip(d2))
        .map(|(&h, (d1, d2))| second_guess(h, *d1, d2 / h, power).min(adaptive.max_step));
    Ok(First { sizes: sizes.collect(), slope })
}

/// The trial step `d₀ / (100 d₁)`, or a small one where either norm is tiny.
pub(crate) fn first_guess(d0: f64, d1: f64) -> f64 {
    if d0 < 1e-5 || d1 < 1e-5 || !(d0 / d1).is_finite() { 1e-6 } else { 0.01 * d0 / d1 }
}

/// `min(100 h, (0.01 / max(d₁, d₂))^(1/q))`.
pub(crate) fn second_guess(h: f64, d1: f64, d2: f64, power: u32) -> f64 {
    let steepest = d1.max(d2);
    let second = if steepest <= 1e-15 || !steepest.is_finite() {
        (h * 1e-3).max(1e-6)
    } else {
        (0.01 / steepest).powf(1.0 / f64::from(power.max(1)))
    };
    second.min(100.0 * h)
}
