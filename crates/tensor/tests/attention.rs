//! Fused causal attention against its composition in double precision.

use crate::{distance, normal};
use maxlik_tensor::attention::{causal, compose};
use maxlik_tensor::autograd::{Graph, grad};
use tch::{Kind, Tensor};

/// Queries, keys and values as views of one product `[B, T, 3, H, w]`, in single precision.
fn parts(seed: u64, [b, h, t, w]: [i64; 4]) -> (Tensor, [Tensor; 3]) {
    let all = (normal(seed, &[b, t, 3, h, w]) * 1.5).to_kind(Kind::Float).set_requires_grad(true);
    let views = [0, 1, 2].map(|i| all.select(2, i).transpose(1, 2));
    (all, views)
}

fn agree(size: [i64; 4]) {
    let (all, [q, k, v]) = parts(3, size);
    let exact = all.detach().to_kind(Kind::Double).set_requires_grad(true);
    let [p, l, u] = [0, 1, 2].map(|i| exact.select(2, i).transpose(1, 2));
    let scale = 1.0 / (size[3] as f64).sqrt();
    let ours = causal(&q, &k, &v, scale).unwrap();
    let theirs = compose(&p, &l, &u, scale).unwrap();
    assert_eq!(ours.size(), size);
    assert!(distance(&ours, &theirs) < 1e-5, "{size:?}: {}", distance(&ours, &theirs));
    let along = normal(4, &size);
    let g = along.to_kind(Kind::Float);
    let ours = grad(&[&ours], &[Some(&g)], &[&all], Graph::Free).unwrap();
    let theirs = grad(&[&theirs], &[Some(&along)], &[&exact], Graph::Free).unwrap();
    let (ours, theirs) = (ours[0].as_ref().unwrap(), theirs[0].as_ref().unwrap());
    let worst = distance(ours, theirs) / theirs.abs().max().double_value(&[]).max(1.0);
    assert!(worst < 1e-5, "{size:?}: gradients off by {worst}");
}

#[test]
fn values_and_gradients_are_those_of_double_precision() {
    for t in 2..=40 {
        agree([2, 3, t, 8]);
    }
    for w in [1, 3, 16, 32, 40, 128] {
        for t in [2, 5, 33, 128, 130] {
            agree([2, 2, t, w]);
        }
    }
    agree([1, 1, 1, 8]);
    agree([3, 5, 64, 24]);
    agree([1, 2, 512, 16]);
    let (_, [q, k, v]) = parts(3, [0, 2, 4, 8]);
    assert_eq!(causal(&q, &k, &v, 1.0).unwrap().size(), [0, 2, 4, 8]);
}

#[test]
fn other_layouts_give_the_same() {
    let (_, views) = parts(5, [2, 3, 20, 8]);
    let [q, k, v] = views.map(|x| x.detach());
    let whole = causal(&q, &k, &v, 0.3).unwrap();
    let packed = causal(&q.contiguous(), &k.contiguous(), &v.contiguous(), 0.3).unwrap();
    assert_eq!(distance(&whole, &packed), 0.0);
    let turned = |x: &Tensor| x.transpose(2, 3).contiguous().transpose(2, 3);
    let turned = causal(&turned(&q), &k, &turned(&v), 0.3).unwrap();
    assert_eq!(distance(&whole, &turned), 0.0);
    // Heads of one number, whose last stride says nothing.
    let (_, views) = parts(6, [2, 3, 20, 1]);
    let [q, k, v] = views.map(|x| x.detach());
    let narrow = causal(&q, &k, &v, 0.3).unwrap();
    let column = |x: &Tensor| x.contiguous().view([2, 3, 1, 20]).transpose(2, 3);
    let columns = causal(&column(&q), &column(&k), &column(&v), 0.3).unwrap();
    assert_eq!(distance(&narrow, &columns), 0.0);
    let (_, views) = parts(5, [2, 3, 20, 8]);
    let [q, k, v] = views.map(|x| x.detach());
    // One head for all, by strides of zero; and a cotangent without memory of its own.
    let one = k.narrow(1, 0, 1).set_requires_grad(true);
    let spread = one.expand([2, 3, 20, 8], false);
    let ours = causal(&q, &spread, &v, 0.3).unwrap();
    let theirs = compose(&q, &spread, &v, 0.3).unwrap();
    assert!(distance(&ours, &theirs) < 1e-5);
    let slope = |y: &Tensor| {
        let found = grad(&[&y.sum(Kind::Float)], &[None], &[&one], Graph::Free).unwrap();
        found[0].as_ref().unwrap().shallow_clone()
    };
    assert!(distance(&slope(&ours), &slope(&theirs)) < 1e-4);
}

#[test]
fn later_tokens_change_nothing_before_them() {
    let (_, views) = parts(6, [1, 2, 37, 16]);
    let [q, k, v] = views.map(|x| x.detach());
    let before = causal(&q, &k, &v, 0.25).unwrap();
    for first in [1, 16, 30] {
        let change = |x: &Tensor| {
            let x = x.copy();
            let _ = x.narrow(2, first, 37 - first).fill_(1e4);
            x
        };
        let after = causal(&q, &change(&k), &change(&v), 0.25).unwrap();
        let seen = |x: &Tensor| x.narrow(2, 0, first);
        assert_eq!(distance(&seen(&before), &seen(&after)), 0.0);
        assert!(distance(&before, &after) > 1.0);
    }
}

#[test]
fn large_scores_stay_finite() {
    let (all, [q, k, v]) = parts(7, [1, 1, 24, 4]);
    let out = causal(&(q * 1e3), &(k * 1e3), &v, 1.0).unwrap();
    assert!(out.isfinite().all().int64_value(&[]) == 1);
    let found = grad(&[&out.sum(Kind::Float)], &[None], &[&all], Graph::Free).unwrap();
    assert!(found[0].as_ref().unwrap().isfinite().all().int64_value(&[]) == 1);
}

#[test]
fn it_has_a_second_derivative() {
    let second = |kind: Kind, f: &dyn Fn(&Tensor, &Tensor, &Tensor) -> Tensor| {
        let (all, _) = parts(8, [1, 2, 9, 4]);
        let all = all.detach().to_kind(kind).set_requires_grad(true);
        let [q, k, v] = [0, 1, 2].map(|i| all.select(2, i).transpose(1, 2));
        let y = f(&q, &k, &v).square().sum(kind);
        let first = grad(&[&y], &[None], &[&all], Graph::Differentiable).unwrap();
        let slope = first[0].as_ref().unwrap().square().sum(kind);
        let found = grad(&[&slope], &[None], &[&all], Graph::Free).unwrap();
        found[0].as_ref().unwrap().shallow_clone()
    };
    let ours = second(Kind::Float, &|q, k, v| causal(q, k, v, 0.5).unwrap());
    let theirs = second(Kind::Double, &|q, k, v| compose(q, k, v, 0.5).unwrap());
    let worst = distance(&ours, &theirs) / theirs.abs().max().double_value(&[]);
    assert!(worst < 1e-4, "off by {worst}");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (_, [q, k, v]) = parts(9, [1, 2, 4, 8]);
    assert!(causal(&q, &k.narrow(2, 0, 3), &v, 1.0).is_err());
    assert!(causal(&q, &k, &v.to_kind(Kind::Double), 1.0).is_err());
    assert!(causal(&q.squeeze_dim(0), &k, &v, 1.0).is_err());
}
