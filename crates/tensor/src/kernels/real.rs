//! The numbers that kernels work on, with elementary functions that vectorise.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

/// `f32` or `f64` inside a kernel.
///
/// In `f32` the elementary functions are branch-free polynomials with an error of about one unit in
/// the last place, which the compiler vectorises; in `f64` they are the standard library's, since
/// `f64` is for tests and checks.
pub(crate) trait Real:
    Copy
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Sum
    + Send
    + Sync
    + tch::kind::Element
    + 'static
{
    const ONE: Self;
    fn of(value: f64) -> Self;
    fn exp(self) -> Self;
    /// Natural logarithm of a positive number.
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    /// `self · by + plus`, rounded once where the processor does that.
    fn fma(self, by: Self, plus: Self) -> Self;
    fn abs(self) -> Self;

    /// `ln(1 + eˣ)` without overflow.
    #[inline(always)]
    fn softplus(self) -> Self {
        let tail = (-self.abs()).exp();
        let positive = if self > Self::ZERO { self } else { Self::ZERO };
        positive + (Self::ONE + tail).ln()
    }

    /// `1 / (1 + e⁻ˣ)` without overflow.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let tail = (-self.abs()).exp();
        let large = Self::ONE / (Self::ONE + tail);
        if self > Self::ZERO { large } else { Self::ONE - large }
    }
}

impl Real for f64 {
    const ONE: Self = 1.0;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn fma(self, by: Self, plus: Self) -> Self {
        f64::mul_add(self, by, plus)
    }

    // For small x, ln(1 + x) as the sum above would lose digits.
    #[inline(always)]
    fn softplus(self) -> Self {
        self.max(0.0) + (-self.abs()).exp().ln_1p()
    }
}

impl Real for f32 {
    const ONE: Self = 1.0;

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "constants, rounded to f32")]
    fn of(value: f64) -> Self {
        value as f32
    }

    /// `eˣ = 2ⁿ eʳ` with `|r| ≤ ½ ln 2` and the minimax polynomial of Cephes' `expf`.
    #[inline(always)]
    fn exp(self) -> Self {
        // Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
        const MAGIC: f32 = 12_582_912.0;
        // Ordered so that NaN stays NaN.
        let x = if self > 88.0 { 88.0 } else { self };
        let x = if x < -87.0 { -87.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + MAGIC;
        let n = shifted - MAGIC;
        let r = x - n * 0.693_359_4;
        let r = r + n * 2.121_944_4e-4;
        let p = 1.987_569_1e-4_f32;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 0.5;
        let p = p * r * r + r + 1.0;
        let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
        p * scale
    }

    /// `ln(m·2ⁿ)` with `m` in `[√½, √2)` and the minimax polynomial of Cephes' `logf`.
    #[inline(always)]
    #[allow(clippy::cast_precision_loss, reason = "an exponent of at most 8 bits")]
    fn ln(self) -> Self {
        let tiny = if self < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { self };
        let bits = tiny.to_bits();
        // Exponent relative to √½, so that the mantissa falls in [√½, √2).
        let shifted = bits.wrapping_sub(0x3f35_04f3);
        let n = (shifted.cast_signed() >> 23) as f32;
        let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
        let z = m * m;
        let p = 7.037_683_6e-2_f32;
        let p = p * m - 1.151_461e-1;
        let p = p * m + 1.167_699_9e-1;
        let p = p * m - 1.242_014_1e-1;
        let p = p * m + 1.424_932_3e-1;
        let p = p * m - 1.666_805_8e-1;
        let p = p * m + 2.000_071_5e-1;
        let p = p * m - 2.499_999_4e-1;
        let p = p * m + 1.0 / 3.0;
        let y = m * z * p + n * -2.121_944_4e-4 - 0.5 * z;
        let y = m + y + n * 0.693_359_4;
        if self > f32::MAX || self.is_nan() { self } else { y }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn fma(self, by: Self, plus: Self) -> Self {
        f32::mul_add(self, by, plus)
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    fn worst(from: f64, to: f64, ours: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let mut worst = 0.0_f64;
        for i in 0..200_000 {
            let x = f32::of(from + (to - from) * f64::from(i) / 200_000.0);
            let truth = exact(f64::from(x));
            let error = (f64::from(ours(x)) - truth).abs() / truth.abs().max(1e-3);
            worst = worst.max(error);
        }
        worst
    }

    #[test]
    fn f32_functions_are_accurate() {
        assert!(worst(-80.0, 80.0, Real::exp, f64::exp) < 2e-7);
        assert!(worst(1e-30, 1e-3, Real::ln, f64::ln) < 2e-7);
        assert!(worst(1e-3, 1e3, Real::ln, f64::ln) < 2e-5);
        assert!(worst(-20.0, 20.0, Real::softplus, |x| x.exp().ln_1p()) < 1e-4);
        assert!(worst(-20.0, 20.0, Real::sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 1e-4);
        assert!(Real::exp(f32::NAN).is_nan() && Real::ln(f32::NAN).is_nan());
    }
}
