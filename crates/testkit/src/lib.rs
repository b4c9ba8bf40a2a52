//! One-line checks that every layer, density and objective of maxlik passes.
//!
//! A new layer gets all of them by one line in a test: [`check_bijection`] builds it in double and in
//! single precision, moves its parameters away from their initial values (so that a layer which
//! starts as the identity is not tested as the identity), and checks shapes, round trips,
//! log-determinants and scores that it carries along against autograd, contexts, batches of one and
//! zero, gradients inside and outside any interval, and saved parameters. A check that fails panics
//! with the layer's name, the property and the numbers: this crate is for tests only.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "assertions for tests")]

mod bijection;
mod density;
mod inputs;
mod scores;

pub use bijection::{Subject, check_bijection};
pub use density::{Region, check_density, integral};
pub use inputs::{Support, normal};

use tch::{Kind, Tensor};

/// The largest absolute difference of two tensors of one shape; NaN where either has NaN.
#[must_use]
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size(), "tensors of different shapes are compared");
    if a.numel() == 0 {
        return 0.0;
    }
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

/// Whether all entries are finite.
#[must_use]
pub fn finite(x: &Tensor) -> bool {
    bool::try_from(x.isfinite().all()).unwrap()
}
