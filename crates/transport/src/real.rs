//! The two floating-point types, and the vector operations that the kernels need of both.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use ndarray::{ArrayView1, ArrayView2};
use pulp::Simd;

/// `f32` or `f64`: the element type of clouds, costs and masses. Sealed.
pub trait Real: Lanes + Display + ndarray::LinalgScalar {
    /// The value in double precision.
    fn to_f64(self) -> f64;
    /// The nearest value of this type.
    fn from_f64(value: f64) -> Self;
    /// `self * a + b`, rounded once.
    fn fused(self, a: Self, b: Self) -> Self;
    /// Square root.
    fn root(self) -> Self;
    /// A view without its element type.
    #[doc(hidden)]
    fn erase(view: ArrayView2<'_, Self>) -> Erased<'_>;
}

/// A matrix of either type.
#[derive(Clone, Copy, Debug)]
pub enum Erased<'a> {
    /// Single precision.
    F32(ArrayView2<'a, f32>),
    /// Double precision.
    F64(ArrayView2<'a, f64>),
}

impl Erased<'_> {
    /// The same matrix, borrowed for less long.
    pub(crate) fn reborrow(&self) -> Erased<'_> {
        match self {
            Self::F32(view) => Erased::F32(view.reborrow()),
            Self::F64(view) => Erased::F64(view.reborrow()),
        }
    }

    /// Rows and columns.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match self {
            Self::F32(view) => view.dim(),
            Self::F64(view) => view.dim(),
        }
    }

    /// One entry.
    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        match self {
            Self::F32(view) => f64::from(view[[i, j]]),
            Self::F64(view) => view[[i, j]],
        }
    }

    /// One row, into the beginning of `out`.
    pub(crate) fn copy_row<T: Real>(&self, i: usize, out: &mut [T]) {
        match self {
            Self::F32(view) => convert(view.row(i), out),
            Self::F64(view) => convert(view.row(i), out),
        }
    }
}

fn convert<A: Real, B: Real>(from: ArrayView1<'_, A>, to: &mut [B]) {
    // Slices become vector code, views do not.
    match from.as_slice() {
        Some(from) => from.iter().zip(to).for_each(|(a, b)| *b = B::from_f64(a.to_f64())),
        None => from.iter().zip(to).for_each(|(a, b)| *b = B::from_f64(a.to_f64())),
    }
}

/// Vector registers of one floating-point type, so that a kernel is written once for both.
///
/// Column numbers travel in registers of the same type: they are exact up to 2^24 in `f32`.
pub trait Lanes:
    Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
{
    /// Lanes of `Self`.
    type Reg<S: Simd>: Copy;
    /// One truth value for each lane.
    type Mask<S: Simd>: Copy;

    /// Positive infinity.
    const INFINITY: Self;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The smallest normal number.
    const TINY: Self;

    /// The slice as registers; its length must be a multiple of the lanes.
    fn regs<S: Simd>(slice: &[Self]) -> &[Self::Reg<S>];
    /// The mutable slice as registers; its length must be a multiple of the lanes.
    fn regs_mut<S: Simd>(slice: &mut [Self]) -> &mut [Self::Reg<S>];
    /// Number of lanes.
    fn lanes<S: Simd>() -> usize;
    /// `value` in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Reg<S>;
    /// 0, 1, 2, … in the lanes.
    fn iota<S: Simd>(simd: S) -> Self::Reg<S>;
    /// `a + b`.
    fn plus<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// `a - b`.
    fn minus<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// `a * b`.
    fn times<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// `a * b + c`, rounded once or twice.
    fn mul_add<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>, c: Self::Reg<S>)
    -> Self::Reg<S>;
    /// Square root.
    fn sqrt<S: Simd>(simd: S, a: Self::Reg<S>) -> Self::Reg<S>;
    /// Smaller of the two.
    fn min<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// Larger of the two.
    fn max<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S>;
    /// Where `a < b`.
    fn less<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Mask<S>;
    /// Where `a = b`.
    fn equal<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Mask<S>;
    /// `a` where the mask holds, `b` elsewhere.
    fn select<S: Simd>(
        simd: S,
        mask: Self::Mask<S>,
        a: Self::Reg<S>,
        b: Self::Reg<S>,
    ) -> Self::Reg<S>;
    /// Smallest lane.
    fn reduce_min<S: Simd>(simd: S, a: Self::Reg<S>) -> Self;
    /// Sum of the lanes.
    fn reduce_sum<S: Simd>(simd: S, a: Self::Reg<S>) -> Self;
    /// exp without branches, so that a loop over it becomes vector code; to within two units in the
    /// last place, and 0 where the true value is no normal number.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// The column number in a lane.
    fn index(self) -> usize;
    /// A column number as a lane value.
    fn from_index(index: usize) -> Self;
}

macro_rules! lanes {
    ($t:ident, $erased:ident, $reg:ident, $mask:ident, $lanes:ident, $as:ident, $as_mut:ident, $splat:ident,
     $add:ident, $sub:ident, $mul:ident, $fma:ident, $sqrt:ident, $min:ident, $max:ident,
     $less:ident, $equal:ident, $select:ident, $rmin:ident, $rsum:ident, $exp:path) => {
        impl Lanes for $t {
            type Reg<S: Simd> = S::$reg;
            type Mask<S: Simd> = S::$mask;
            const INFINITY: Self = $t::INFINITY;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const TINY: Self = $t::MIN_POSITIVE;

            #[inline(always)]
            fn regs<S: Simd>(slice: &[Self]) -> &[Self::Reg<S>] {
                let (body, tail) = S::$as(slice);
                debug_assert!(tail.is_empty());
                body
            }
            #[inline(always)]
            fn regs_mut<S: Simd>(slice: &mut [Self]) -> &mut [Self::Reg<S>] {
                let (body, tail) = S::$as_mut(slice);
                debug_assert!(tail.is_empty());
                body
            }
            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }
            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> Self::Reg<S> {
                simd.$splat(value)
            }
            #[inline(always)]
            fn iota<S: Simd>(simd: S) -> Self::Reg<S> {
                const IOTA: [$t; 16] =
                    [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];
                let _ = simd;
                S::$as(&IOTA).0[0]
            }
            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S> {
                simd.$add(a, b)
            }
            #[inline(always)]
            fn minus<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S> {
                simd.$sub(a, b)
            }
            #[inline(always)]
            fn times<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S> {
                simd.$mul(a, b)
            }
            #[inline(always)]
            fn mul_add<S: Simd>(
                simd: S,
                a: Self::Reg<S>,
                b: Self::Reg<S>,
                c: Self::Reg<S>,
            ) -> Self::Reg<S> {
                simd.$fma(a, b, c)
            }
            #[inline(always)]
            fn sqrt<S: Simd>(simd: S, a: Self::Reg<S>) -> Self::Reg<S> {
                simd.$sqrt(a)
            }
            #[inline(always)]
            fn min<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S> {
                simd.$min(a, b)
            }
            #[inline(always)]
            fn max<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Reg<S> {
                simd.$max(a, b)
            }
            #[inline(always)]
            fn less<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Mask<S> {
                simd.$less(a, b)
            }
            #[inline(always)]
            fn equal<S: Simd>(simd: S, a: Self::Reg<S>, b: Self::Reg<S>) -> Self::Mask<S> {
                simd.$equal(a, b)
            }
            #[inline(always)]
            fn select<S: Simd>(
                simd: S,
                mask: Self::Mask<S>,
                a: Self::Reg<S>,
                b: Self::Reg<S>,
            ) -> Self::Reg<S> {
                simd.$select(mask, a, b)
            }
            #[inline(always)]
            fn reduce_min<S: Simd>(simd: S, a: Self::Reg<S>) -> Self {
                simd.$rmin(a)
            }
            #[inline(always)]
            fn reduce_sum<S: Simd>(simd: S, a: Self::Reg<S>) -> Self {
                simd.$rsum(a)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $t::ln(self)
            }
            #[inline(always)]
            fn index(self) -> usize {
                self as usize
            }
            #[inline(always)]
            fn from_index(index: usize) -> Self {
                index as $t
            }
        }

        impl Real for $t {
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn fused(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            fn erase(view: ArrayView2<'_, Self>) -> Erased<'_> {
                Erased::$erased(view)
            }
        }
    };
}

lanes!(
    f32,
    F32,
    f32s,
    m32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    mul_add_e_f32s,
    sqrt_f32s,
    min_f32s,
    max_f32s,
    less_than_f32s,
    equal_f32s,
    select_f32s,
    reduce_min_f32s,
    reduce_sum_f32s,
    crate::kernel::exp::exp_f32
);
lanes!(
    f64,
    F64,
    f64s,
    m64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    mul_add_e_f64s,
    sqrt_f64s,
    min_f64s,
    max_f64s,
    less_than_f64s,
    equal_f64s,
    select_f64s,
    reduce_min_f64s,
    reduce_sum_f64s,
    crate::kernel::exp::exp_f64
);
