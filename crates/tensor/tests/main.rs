//! Tests of maxlik-tensor: mathematics in float64 against closed forms and autograd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod adamw;
mod affine;
mod attention;
mod autograd;
mod columns;
mod device;
mod gelu;
mod logdet;
mod logdet_convolution;
mod logdet_residual;
mod logdet_structured;
mod masked;
mod mixture;
mod perceptron;
mod safe;
mod spline;
mod trace;
mod vocabulary;

use tch::{Kind, Tensor, kind::DOUBLE_CPU};

/// A standard normal tensor that depends on the seed alone.
fn normal(seed: u64, shape: &[i64]) -> Tensor {
    maxlik_tensor::with_seed(seed, || Tensor::randn(shape, DOUBLE_CPU))
}

/// The largest absolute difference.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    if a.numel() == 0 {
        return 0.0;
    }
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}
