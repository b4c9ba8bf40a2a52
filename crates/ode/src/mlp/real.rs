//! The numbers that the kernels work on.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Mul, Neg, Sub};

/// `f32` or `f64` inside a kernel.
pub(crate) trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + Send
    + Sync
    + tch::kind::Element
    + 'static
{
    const ONE: Self;
    fn of(value: f64) -> Self;
    fn double(self) -> f64;
    /// `self · a + b`, rounded once.
    fn fma(self, a: Self, b: Self) -> Self;
    fn abs(self) -> Self;
    fn max(self, other: Self) -> Self;
    fn tanh(self) -> Self;
}

impl Real for f64 {
    const ONE: Self = 1.0;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn double(self) -> f64 {
        self
    }

    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        f64::max(self, other)
    }

    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
}

impl Real for f32 {
    const ONE: Self = 1.0;

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "rounded to f32")]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn double(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn fma(self, a: Self, b: Self) -> Self {
        self.mul_add(a, b)
    }

    #[inline(always)]
    fn abs(self) -> Self {
        f32::abs(self)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        f32::max(self, other)
    }

    /// `x P(x²)/Q(x²)` with the coefficients of least relative error on `|x| ≤ 9`, beyond which the
    /// value is ±1 in single precision; the relative error is below 4·10⁻⁷.
    #[inline(always)]
    fn tanh(self) -> Self {
        // Ordered so that NaN stays NaN.
        let x = if self > 9.0 { 9.0 } else { self };
        let x = if x < -9.0 { -9.0 } else { x };
        let u = x * x;
        let p = 1.337_286_8e-8_f32;
        let p = p.mul_add(u, 2.062_224_5e-5);
        let p = p.mul_add(u, 3.496_390_8e-3);
        let p = p.mul_add(u, 1.338_170_3e-1);
        let p = p.mul_add(u, 1.0);
        let q = 7.784_013_3e-7_f32;
        let q = q.mul_add(u, 3.286_945_3e-4);
        let q = q.mul_add(u, 2.588_004e-2);
        let q = q.mul_add(u, 4.671_501_8e-1);
        let q = q.mul_add(u, 1.0);
        let y = x * p / q;
        let y = if y > 1.0 { 1.0 } else { y };
        if y < -1.0 { -1.0 } else { y }
    }
}

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn tanh_of_f32_is_accurate() {
        for i in -200_000..200_000_i32 {
            let x = i as f32 * 6e-5;
            let exact = f64::tanh(f64::from(x));
            let error = (f64::from(Real::tanh(x)) - exact).abs();
            assert!(error <= 4e-7 * exact.abs(), "{x}: {error}");
        }
        assert!(Real::tanh(f32::NAN).is_nan());
        for (x, end) in [(f32::INFINITY, 1.0_f32), (-1e30, -1.0)] {
            assert!((Real::tanh(x) - end).abs() < 4e-7 && Real::tanh(x).abs() <= 1.0, "{x}");
        }
    }
}
