use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_tensor::safe;
use proptest::prelude::*;
use tch::{Kind, Tensor};

/// The derivative of an elementwise function.
fn slope(f: impl Fn(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    let x = leaf(x).unwrap();
    gradient(&f(&x).sum(x.kind()), None, &x, Graph::Free).unwrap()
}

type Function<'a> = &'a dyn Fn(&Tensor) -> Tensor;

fn finite(x: &Tensor) -> bool {
    bool::try_from(x.isfinite().all()).unwrap()
}

proptest! {
    #[test]
    fn functions_are_their_definitions(seed in 0_u64..1 << 40) {
        let x = normal(seed, &[7]) * 2.0;
        prop_assert!(distance(&safe::log_cosh(&x).unwrap(), &x.cosh().log()) < 1e-13);
        prop_assert!(distance(&slope(|x| safe::log_cosh(x).unwrap(), &x), &x.tanh()) < 1e-13);
        prop_assert!(distance(&safe::softplus(&x).unwrap(), &x.exp().log1p()) < 1e-13);
        let y = x.exp();
        let back = safe::softplus(&safe::softplus_inverse(&y).unwrap()).unwrap();
        prop_assert!(distance(&back, &y) < 1e-11);
        prop_assert!(distance(&safe::log1mexp(&y).unwrap(), &(-(-&y).expm1()).log()) < 1e-11);
        let p = x.sigmoid();
        prop_assert!(distance(&safe::logit(&p, 1e-12).unwrap(), &x) < 1e-9);
    }

    #[test]
    fn log_matmul_is_the_logarithm_of_the_product(seed in 0_u64..1 << 40, n in 1_i64..4, k in 1_i64..4, m in 1_i64..4) {
        let (a, b) = (normal(seed, &[2, n, k]), normal(seed + 1, &[2, k, m]));
        let exact = a.exp().matmul(&b.exp()).log();
        prop_assert!(distance(&safe::log_matmul_exp(&a, &b).unwrap(), &exact) < 1e-12);
        let far = safe::log_matmul_exp(&(&a - 2000.0), &(&b + 900.0)).unwrap();
        prop_assert!(distance(&far, &(exact - 1100.0)) < 1e-9);
    }
}

#[test]
fn values_and_gradients_are_finite_at_the_edges() {
    for kind in [Kind::Double, Kind::Float] {
        let edges = Tensor::from_slice(&[0.0, 1e-300, 1e-30, 1e-8, 0.6, 0.8, 30.0, 1e4, 1e30]);
        let edges = edges.to_kind(kind);
        let table: [(&str, Function<'_>); 4] = [
            ("softplus_inverse", &|x| safe::softplus_inverse(x).unwrap()),
            ("log1mexp", &|x| safe::log1mexp(x).unwrap()),
            ("log_cosh", &|x| safe::log_cosh(x).unwrap()),
            ("log_cosh of negative", &|x| safe::log_cosh(&-x).unwrap()),
        ];
        for (name, f) in table {
            assert!(finite(&f(&edges)), "{name} {kind:?}: {}", f(&edges));
            assert!(finite(&slope(f, &edges)), "{name} {kind:?}: {}", slope(f, &edges));
        }
        let p = Tensor::from_slice(&[-0.1, 0.0, 0.5, 1.0, 1.1]).to_kind(kind);
        let logit = |p: &Tensor| safe::logit(p, 1e-6).unwrap();
        assert!(finite(&logit(&p)) && finite(&slope(logit, &p)));
    }
    // The second derivative of ln cosh at zero is one.
    let x = leaf(&Tensor::zeros([1], tch::kind::DOUBLE_CPU)).unwrap();
    let first = gradient(&safe::log_cosh(&x).unwrap(), None, &x, Graph::Differentiable).unwrap();
    assert_eq!(gradient(&first, None, &x, Graph::Free).unwrap().double_value(&[0]), 1.0);
    // LibTorch's softplus is 2e-9 off here.
    let x = Tensor::from_slice(&[20.5]);
    let exact = 20.5 + (-20.5_f64).exp().ln_1p();
    assert!((safe::softplus(&x).unwrap().double_value(&[0]) - exact).abs() < 1e-14);
}

#[test]
fn a_product_of_zeros_is_minus_infinity() {
    let none = Tensor::full([1, 2], f64::NEG_INFINITY, tch::kind::DOUBLE_CPU);
    let b = normal(3, &[2, 2]);
    let f = |a: &Tensor| safe::log_matmul_exp(a, &b).unwrap();
    assert!(f(&none).double_value(&[0, 0]).is_infinite());
    assert!(distance(&slope(f, &none), &none.zeros_like()) == 0.0);
    let message = safe::log_matmul_exp(&b, &normal(1, &[3, 2])).unwrap_err().to_string();
    assert!(message.starts_with("b: expected shape"), "{message}");
    assert!(safe::logit(&b, 0.5).is_err());
}
