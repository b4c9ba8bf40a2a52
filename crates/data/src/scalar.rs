//! The number types of data.

use std::fmt::{Debug, Display};

/// A number type of data: `f32` or `f64`.
pub trait Scalar:
    ndarray_npy::WritableElement
    + Copy
    + Send
    + Sync
    + Debug
    + Display
    + Default
    + PartialOrd
    + sealed::Sealed
    + 'static
{
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
    /// The largest number below this one.
    #[must_use]
    fn next_below(self) -> Self;
    /// The smallest number above this one.
    #[must_use]
    fn next_above(self) -> Self;
    /// Neither NaN nor infinite.
    fn finite(self) -> bool;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Scalar for f32 {
    fn from_f64(value: f64) -> Self {
        value as Self
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn next_below(self) -> Self {
        self.next_down()
    }
    fn next_above(self) -> Self {
        self.next_up()
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

impl Scalar for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn next_below(self) -> Self {
        self.next_down()
    }
    fn next_above(self) -> Self {
        self.next_up()
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}
