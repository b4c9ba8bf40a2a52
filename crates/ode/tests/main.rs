//! Tests of maxlik-ode: orders, tolerances and gradients against closed forms, in float64.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod adaptive;
mod batch;
mod contracting;
mod diffusion;
mod events;
mod flows;
mod fused;
mod golden;
mod gradients;
mod implicit;
mod manifolds;
mod multistep;
mod order;
mod problems;
mod restore;
mod score;
mod sde;

use tch::{Kind, Tensor, kind::DOUBLE_CPU};

/// A standard normal tensor that depends on the seed alone.
fn normal(seed: u64, shape: &[i64]) -> Tensor {
    maxlik_tensor::with_seed(seed, || Tensor::randn(shape, DOUBLE_CPU))
}

/// The largest absolute difference.
#[track_caller]
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    if a.numel() == 0 {
        return 0.0;
    }
    let worst = (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max();
    worst.double_value(&[])
}

/// A vector of doubles as a tensor.
fn vector(values: &[f64]) -> Tensor {
    Tensor::from_slice(values)
}

/// The slope of `−log error` over `log steps`, by least squares.
fn slope(steps: &[usize], errors: &[f64]) -> f64 {
    let n = errors.len() as f64;
    let xs: Vec<f64> = steps.iter().map(|&k| (k as f64).ln()).collect();
    let ys: Vec<f64> = errors.iter().map(|e| -e.ln()).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (mx, my) = (mean(&xs), mean(&ys));
    let (mut top, mut bottom) = (0.0, 0.0);
    for (x, y) in xs.iter().zip(&ys) {
        top += (x - mx) * (y - my);
        bottom += (x - mx) * (x - mx);
    }
    top / bottom
}
