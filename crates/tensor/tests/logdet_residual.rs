//! The power series of residual maps: exact where it is cut late, unbiased where it is cut at random.

use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, gradient, jacobian, leaf};
use maxlik_tensor::logdet::{self, Roulette, neumann_surrogate, power_series};
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

const DIMS: i64 = 3;

/// A contraction with the weight `w`.
fn contraction(x: &Tensor, w: &Tensor) -> Tensor {
    x.matmul(&w.transpose(0, 1)).tanh()
}

fn weight() -> Tensor {
    let w = normal(7, &[DIMS, DIMS]);
    &w * (0.4 / w.square().sum(Kind::Double).sqrt())
}

fn exact(x: &Tensor, w: &Tensor) -> Tensor {
    let identity = Tensor::eye(DIMS, DOUBLE_CPU);
    let j = jacobian(&|x| Ok(contraction(x, w)), x, Graph::Differentiable).unwrap();
    logdet::dense(&(j + identity)).unwrap()
}

/// The probes `√D eᵢ`: the mean over all of them is the trace.
fn basis(i: i64, rows: i64) -> Tensor {
    let probe = Tensor::zeros([rows, DIMS], DOUBLE_CPU);
    let _ = probe.select(1, i).fill_((DIMS as f64).sqrt());
    probe
}

#[test]
fn a_late_cut_is_exact() {
    let (x, w) = (leaf(&normal(1, &[4, DIMS])).unwrap(), leaf(&weight()).unwrap());
    let weights = Roulette { certain: 40, stop: 1.0 }.weights(40);
    assert_eq!(weights, vec![1.0; 40]);
    let mut sum = Tensor::zeros([4], DOUBLE_CPU);
    let mut surrogate = Tensor::zeros([4], DOUBLE_CPU);
    for i in 0..DIMS {
        let (value, probe) = (contraction(&x, &w), basis(i, 4));
        sum += power_series(&value, &x, &probe, &weights, Graph::Differentiable).unwrap();
        surrogate += neumann_surrogate(&value, &x, &probe, &weights).unwrap();
    }
    let exact = exact(&x, &w);
    assert!(distance(&(&sum / DIMS as f64), &exact) < 1e-12);
    for of in [&x, &w] {
        let slope = |y: &Tensor| gradient(&y.sum(Kind::Double), None, of, Graph::Keep).unwrap();
        let wanted = slope(&exact);
        assert!(distance(&(slope(&sum) / DIMS as f64), &wanted) < 1e-12);
        assert!(distance(&(slope(&surrogate) / DIMS as f64), &wanted) < 1e-12);
    }
}

/// The expectation over all lengths, weighted by their probabilities, is the whole series.
#[test]
fn roulette_is_unbiased() {
    let roulette = Roulette { certain: 2, stop: 0.5 };
    let (x, w) = (leaf(&normal(2, &[3, DIMS])).unwrap(), weight());
    let estimate = |terms: usize| {
        let one = |i| {
            let weights = roulette.weights(terms);
            let value = contraction(&x, &w);
            power_series(&value, &x, &basis(i, 3), &weights, Graph::Free).unwrap()
        };
        (0..DIMS).map(one).fold(Tensor::zeros([3], DOUBLE_CPU), |a, b| a + b) / DIMS as f64
    };
    let mut mean = Tensor::zeros([3], DOUBLE_CPU);
    let most = 45;
    for further in 0..most {
        let probability = 0.5_f64.powi(further + i32::from(further + 1 < most));
        mean += estimate(2 + further as usize) * probability;
    }
    assert!(distance(&mean, &exact(&x, &w).detach()) < 1e-10);
    assert!(distance(&estimate(2), &exact(&x, &w).detach()) > 1e-6, "two terms are not enough");
}

#[test]
fn lengths_follow_the_draw() {
    let roulette = Roulette { certain: 3, stop: 0.5 };
    let lengths: Vec<usize> =
        [0.0, 0.49, 0.51, 0.74, 0.76].iter().map(|&u| roulette.terms(u).unwrap()).collect();
    assert_eq!(lengths, [3, 3, 4, 4, 5]);
    assert_eq!(roulette.weights(5), [1.0, 1.0, 1.0, 2.0, 4.0]);
    assert_eq!(Roulette { certain: 3, stop: 1.0 }.terms(0.999).unwrap(), 3);
    assert!(roulette.terms(1.0).is_err());
    assert!(Roulette { certain: 3, stop: 0.0 }.terms(0.1).is_err());
}
