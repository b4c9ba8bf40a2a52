use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, grad, leaf};
use maxlik_tensor::vocabulary::{
    Scored, Scores, compose, compose_with_mean, log_prob, log_prob_and_mean,
};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

fn integers(seed: u64, shape: &[i64], below: i64) -> Tensor {
    let options = (Kind::Int64, Device::Cpu);
    maxlik_tensor::with_seed(seed, || Tensor::randint(below, shape, options))
}

fn gradient(logits: &Tensor, run: impl Fn(&Tensor) -> Scored) -> Tensor {
    let z = leaf(logits).unwrap();
    let out = run(&z);
    let kind = logits.kind();
    let (u, v) = (normal(77, &out.log_prob.size()), normal(78, &out.mean.size()));
    let cotangents = [Some(&u.to_kind(kind)), Some(&v.to_kind(kind))];
    grad(&[&out.log_prob, &out.mean], &cotangents, &[&z], Graph::Free).unwrap().remove(0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn the_kernel_agrees_with_the_composition(
        seed in 0_u64..1 << 40, rows in 0_i64..9, tokens in 1_i64..4, width in 1_i64..150,
        different in 1_i64..5, scale in 0.1_f64..30.0, single: bool
    ) {
        let kind = if single { Kind::Float } else { Kind::Double };
        let z = normal(seed, &[rows, tokens, width]) * scale;
        let y = integers(seed + 1, &[rows, tokens], width);
        let table = normal(seed + 2, &[different, width]);
        let index = integers(seed + 3, &[rows, tokens], different);
        let scores = Scores { table: &table, rows: &index };
        let own_table = table.to_kind(kind);
        let own = Scores { table: &own_table, rows: &index };
        let fused = |z: &Tensor| log_prob_and_mean(z, &y, &own).unwrap();
        let plain = |z: &Tensor| compose_with_mean(z, &y, &scores).unwrap();
        let (ours, reference) = (fused(&z.to_kind(kind)), plain(&z));
        let tolerance = if single { 2e-5 * scale.max(1.0) } else { 1e-12 * scale.max(1.0) };
        prop_assert!(distance(&ours.log_prob, &reference.log_prob) < tolerance);
        prop_assert!(distance(&ours.mean, &reference.mean) < tolerance);
        let alone = log_prob(&z.to_kind(kind), &y).unwrap();
        prop_assert_eq!(distance(&alone, &ours.log_prob), 0.0);
        if rows > 0 {
            let (ours, plain) = (gradient(&z.to_kind(kind), fused), gradient(&z, plain));
            prop_assert!(distance(&ours, &plain) < tolerance, "{}", distance(&ours, &plain));
            // Without scores.
            let with_zeros = |log_prob: Tensor| Scored { mean: log_prob.zeros_like() + &log_prob * 0.0, log_prob };
            let ours = gradient(&z.to_kind(kind), |z| with_zeros(log_prob(z, &y).unwrap()));
            let plain = gradient(&z, |z| with_zeros(compose(z, &y).unwrap()));
            prop_assert!(distance(&ours, &plain) < tolerance, "{}", distance(&ours, &plain));
        }
    }
}

#[test]
fn strided_logits_and_second_derivatives() {
    let z = normal(4, &[7, 5]);
    let y = integers(5, &[7], 5);
    let strided = z.transpose(0, 1).contiguous().transpose(0, 1);
    assert_eq!(distance(&log_prob(&z, &y).unwrap(), &log_prob(&strided, &y).unwrap()), 0.0);
    let second = |run: &dyn Fn(&Tensor) -> Tensor| {
        let z = leaf(&z).unwrap();
        let first = grad(&[&run(&z).square()], &[None], &[&z], Graph::Differentiable);
        let first = first.unwrap().remove(0).unwrap().square();
        grad(&[&first], &[None], &[&z], Graph::Free).unwrap().remove(0).unwrap()
    };
    let (fused, plain) =
        (second(&|z| log_prob(z, &y).unwrap()), second(&|z| compose(z, &y).unwrap()));
    assert!(distance(&fused, &plain) < 1e-12);
    assert!(fused.abs().max().double_value(&[]) > 1e-2);
}

/// A row without a cotangent gets a gradient of zeros, even where its logits are not finite.
#[test]
fn rows_that_do_not_count_get_no_gradient() {
    let z = normal(6, &[3, 40]);
    let _ = z.select(0, 1).fill_(f64::NAN);
    let y = integers(7, &[3], 40);
    let z = leaf(&z).unwrap();
    let weight = Tensor::from_slice(&[1.0, 0.0, 2.0]);
    let out = log_prob(&z, &y).unwrap();
    let found = grad(&[&out], &[Some(&weight)], &[&z], Graph::Free).unwrap().remove(0).unwrap();
    assert_eq!(found.select(0, 1).abs().max().double_value(&[]), 0.0);
    assert!(found.abs().sum(Kind::Double).double_value(&[]) > 1.0);
}

#[test]
fn what_does_not_fit_is_named() {
    let z = normal(4, &[7, 5]);
    let says = |y: &Tensor| log_prob(&z, y).unwrap_err().to_string();
    assert_eq!(says(&integers(0, &[6], 5)), "classes: expected shape [7], got [6]");
    assert_eq!(says(&z.select(1, 0)), "classes: expected dtype Int64, got Double");
    let high = Tensor::full([7], 5, (Kind::Int64, Device::Cpu));
    assert_eq!(says(&high), "classes: expected numbers from 0 to below 5, got 5");
    let table = normal(1, &[2, 4]);
    let rows = integers(0, &[7], 2);
    let scores = Scores { table: &table, rows: &rows };
    let error = log_prob_and_mean(&z, &rows, &scores).unwrap_err().to_string();
    assert_eq!(error, "scores: expected shape [U, 5], got [2, 4]");
}
