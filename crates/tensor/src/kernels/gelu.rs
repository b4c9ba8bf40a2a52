//! Gaussian error linear units in `f32`, and their derivatives.

use super::real::Real;

/// Which function stands for the normal distribution's `Φ`.
pub(crate) trait Gate: Copy {
    /// `Φ(x)` and the derivative of `x Φ(x)`.
    fn value_and_slope(x: f32) -> (f32, f32);
}

/// `Φ` itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exact;

/// `Φ(x) ≈ σ(2u)` with `u = √(2/π) (x + 0.044715 x³)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tanh;

impl Gate for Exact {
    /// The tail by Abramowitz and Stegun 7.1.26, error at most 8e-8; its exponential is the density's too.
    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        const P: f32 = 0.231_641_9;
        let x = clamp(x, 13.0);
        let z = x.abs();
        // The inherent `exp` is a call of the C library, which does not vectorise.
        let bell = Real::exp(z * z * -0.5);
        let t = 1.0 / P.fma(z, 1.0);
        let p = 0.530_702_7_f32;
        let p = p.fma(t, -0.726_576_f32);
        let p = p.fma(t, 0.710_706_9);
        let p = p.fma(t, -0.142_248_37);
        let p = p.fma(t, 0.127_414_8);
        let tail = p * t * bell;
        let value = if x < 0.0 { tail } else { 1.0 - tail };
        (value, (x * 0.398_942_3).fma(bell, value))
    }
}

impl Gate for Tanh {
    #[inline(always)]
    fn value_and_slope(x: f32) -> (f32, f32) {
        const TWICE: f32 = 1.595_769;
        const CUBIC: f32 = 0.044_715;
        let x = clamp(x, 10.0);
        let square = x * x;
        let value = (TWICE * x * CUBIC.fma(square, 1.0)).sigmoid();
        let inner = TWICE * (3.0 * CUBIC).fma(square, 1.0);
        (value, (x * value * (1.0 - value)).fma(inner, value))
    }
}

/// `x` within `±most`, beyond which the exponential would leave the normal numbers; NaN stays.
#[inline(always)]
fn clamp(x: f32, most: f32) -> f32 {
    let x = if x > most { most } else { x };
    if x < -most { -most } else { x }
}

/// `x Φ(x)`.
#[inline(always)]
pub(crate) fn forward<G: Gate>(x: &[f32], out: &mut [f32]) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o = x * G::value_and_slope(x).0;
    }
}

/// `g · d(x Φ(x))/dx`.
#[inline(always)]
pub(crate) fn backward<G: Gate>(x: &[f32], grad: &[f32], out: &mut [f32]) {
    for ((o, &x), &g) in out.iter_mut().zip(x).zip(grad) {
        *o = g * G::value_and_slope(x).1;
    }
}
