use super::{distance, normal};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, gradient, jacobian, jvp, leaf, vjp};
use proptest::prelude::*;
use tch::{Kind, Tensor};

/// A smooth map of 3 numbers to 4 with rows that do not interact.
fn curve(x: &Tensor) -> Result<Tensor> {
    let weight = normal(99, &[3, 4]);
    Ok(x.f_matmul(&weight)?.f_tanh()?
        + x.f_sum_dim_intlist([-1_i64].as_slice(), true, None::<Kind>)?.f_sin()?)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn products_are_the_jacobians(seed in 0_u64..1 << 40, batch in 0_i64..4) {
        let (x, u, v) = (normal(seed, &[batch, 3]), normal(seed + 1, &[batch, 4]), normal(seed + 2, &[batch, 3]));
        let exact = jacobian(&curve, &x, Graph::Free).unwrap();
        prop_assert_eq!(exact.size(), vec![batch, 4, 3]);
        let left = vjp(&curve, &x, &u).unwrap().product;
        prop_assert!(distance(&left, &u.unsqueeze(1).matmul(&exact).squeeze_dim(1)) < 1e-12);
        let right = jvp(&curve, &x, &v).unwrap().product;
        prop_assert!(distance(&right, &exact.matmul(&v.unsqueeze(-1)).squeeze_dim(-1)) < 1e-12);
        let h = 1e-6;
        let slope = (curve(&(&x + &v * h)).unwrap() - curve(&(&x - &v * h)).unwrap()) / (2.0 * h);
        prop_assert!(distance(&right, &slope) < 1e-7);
    }
}

#[test]
fn the_jacobian_can_be_differentiated() {
    // f(x) = x³ elementwise: J = diag(3x²), the gradient of its trace is 6x.
    let x = leaf(&normal(5, &[2, 3])).unwrap();
    let cube = |x: &Tensor| Ok(x.f_pow_tensor_scalar(3)?);
    let trace =
        jacobian(&cube, &x, Graph::Differentiable).unwrap().diagonal(0, -2, -1).sum(Kind::Double);
    let slope = gradient(&trace, None, &x, Graph::Free).unwrap();
    assert!(distance(&slope, &(&x * 6.0)) < 1e-12);
}

#[test]
fn products_leave_the_gradient_mode_alone() {
    let _guard = tch::no_grad_guard();
    let x = normal(1, &[2, 3]);
    assert!(vjp(&curve, &x, &normal(2, &[2, 4])).is_ok());
    let failed = vjp(&|_| panic!("inside"), &x, &x);
    assert!(failed.unwrap_err().to_string().contains("inside"));
    let y = normal(3, &[1]).set_requires_grad(true) * 2.0;
    assert!(!y.requires_grad());
}

#[test]
fn what_does_not_depend_has_zero_gradient() {
    let x = leaf(&normal(5, &[2, 3])).unwrap();
    let other = leaf(&normal(6, &[2, 3])).unwrap();
    let y = (&other * 2.0).sum(Kind::Double);
    assert_eq!(distance(&gradient(&y, None, &x, Graph::Free).unwrap(), &x.zeros_like()), 0.0);
    let message = vjp(&curve, &x, &other).unwrap_err().to_string();
    assert!(message.starts_with("u: expected shape [2, 4], got [2, 3]"), "{message}");
}
