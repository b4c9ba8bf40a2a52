//! The fused GELU against LibTorch's in double precision.

use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::gelu::Gelu;
use tch::{Device, Kind, Tensor};

fn name(form: Gelu) -> &'static str {
    match form {
        Gelu::Exact => "none",
        Gelu::Tanh => "tanh",
    }
}

fn far(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

#[test]
fn values_and_derivatives_are_those_of_double_precision() {
    let x = Tensor::linspace(-15.0, 15.0, 60_001, (Kind::Float, Device::Cpu));
    for form in [Gelu::Exact, Gelu::Tanh] {
        let x = x.set_requires_grad(true);
        let exact = x.detach().to_kind(Kind::Double).set_requires_grad(true);
        let (ours, theirs) = (form.apply(&x).unwrap(), exact.gelu(name(form)));
        let relative = (&ours - &theirs).abs() / (exact.abs() + 1.0);
        assert!(relative.max().double_value(&[]) < 2e-7, "{form:?}: {}", relative.max());
        let along = x.detach().sin();
        let ours = grad(&[&ours], &[Some(&along)], &[&x], Graph::Free).unwrap();
        let along = along.to_kind(Kind::Double);
        let theirs = grad(&[&theirs], &[Some(&along)], &[&exact], Graph::Free).unwrap();
        let worst = far(ours[0].as_ref().unwrap(), theirs[0].as_ref().unwrap());
        assert!(worst < 3e-6, "{form:?}: slope off by {worst}");
    }
}

#[test]
fn the_far_left_tail_is_zero_and_nan_stays() {
    let x = Tensor::from_slice(&[f32::NAN, -40.0, f32::MAX, 0.0]);
    for form in [Gelu::Exact, Gelu::Tanh] {
        let y = form.apply(&x).unwrap();
        assert!(y.double_value(&[0]).is_nan(), "{form:?}");
        assert!(y.double_value(&[1]).abs() < 1e-30, "{form:?}: {y:?}");
        assert_eq!(y.double_value(&[2]), f64::from(f32::MAX), "{form:?}");
        assert_eq!(y.double_value(&[3]), 0.0, "{form:?}");
    }
}

#[test]
fn it_has_a_second_derivative_and_takes_strides() {
    let x = Tensor::linspace(-3.0, 3.0, 24, (Kind::Float, Device::Cpu)).view([4, 6]);
    let x = x.set_requires_grad(true);
    let y = Gelu::Exact.apply(&x.transpose(0, 1)).unwrap();
    let first = grad(&[&y.sum(Kind::Float)], &[None], &[&x], Graph::Differentiable).unwrap();
    let first = first[0].as_ref().unwrap();
    let second = grad(&[&first.sum(Kind::Float)], &[None], &[&x], Graph::Free).unwrap();
    let z = x.detach();
    // d²(xΦ)/dx² = φ(x) (2 − x²)
    let exact = (&z * &z * -0.5).exp() * 0.398_942_28 * (-(&z * &z) + 2.0);
    assert!(far(second[0].as_ref().unwrap(), &exact) < 1e-5);
}
