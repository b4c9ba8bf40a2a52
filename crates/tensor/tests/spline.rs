use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, grad, jacobian, leaf};
use maxlik_tensor::spline::{Elementwise, Knots, RationalQuadratic, Tails};
use proptest::prelude::*;
use tch::{Kind, Tensor};

fn specs() -> impl Strategy<Value = RationalQuadratic> {
    let tails = prop_oneof![Just(Tails::Linear), Just(Tails::Bounded), Just(Tails::Circular)];
    let knots = prop_oneof![
        Just(Knots::Softmax { min_width: 1e-3, min_height: 1e-3, min_derivative: 1e-3 }),
        Just(Knots::SoftClip { slope: 1e-3 }),
    ];
    (1_usize..20, tails, knots, prop_oneof![Just((-3.0, 3.0)), Just((0.0, 1.0))]).prop_map(
        |(bins, tails, knots, interval)| RationalQuadratic { bins, interval, tails, knots },
    )
}

/// Points inside, outside and on the ends of the interval, with their raw parameters.
fn inputs(spec: &RationalQuadratic, seed: u64, batch: i64, dims: i64) -> (Tensor, Tensor) {
    let (low, high) = spec.interval;
    let x = normal(seed, &[batch, dims]) * (high - low) * 0.4 + 0.5 * (high + low);
    if x.numel() > 1 {
        let _edge = x.view([-1]).get(0).fill_(low);
        let _edge = x.view([-1]).get(1).fill_(high);
    }
    (x, normal(seed + 1, &[batch, dims, spec.parameters() as i64]) * 1.5)
}

/// Gradients of a fixed random combination of value and log-determinant.
fn gradients(
    x: &Tensor,
    params: &Tensor,
    run: impl Fn(&Tensor, &Tensor) -> Elementwise,
) -> Vec<Tensor> {
    let (x, params) = (leaf(x).unwrap(), leaf(params).unwrap());
    let out = run(&x, &params);
    let (u, v) = (normal(77, &out.value.size()), normal(78, &out.log_det.size()));
    let (u, v) = (u.to_kind(x.kind()), v.to_kind(x.kind()));
    let found =
        grad(&[&out.value, &out.log_det], &[Some(&u), Some(&v)], &[&x, &params], Graph::Free)
            .unwrap();
    found.into_iter().flatten().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_kernel_agrees_with_the_composition(
        spec in specs(), seed in 0_u64..1 << 40, batch in 0_i64..40, dims in 0_i64..6, inverse: bool
    ) {
        let (x, params) = inputs(&spec, seed, batch, dims);
        let run = |x: &Tensor, p: &Tensor| if inverse { spec.inverse(x, p) } else { spec.forward(x, p) }.unwrap();
        let reference = |x: &Tensor, p: &Tensor| spec.compose(x, p, inverse).unwrap();
        let (ours, plain) = (run(&x, &params), reference(&x, &params));
        prop_assert!(distance(&ours.value, &plain.value) < 1e-10);
        prop_assert!(distance(&ours.log_det, &plain.log_det) < 1e-9);
        if x.numel() > 0 {
            let scale = 1e-7;
            for (ours, plain) in gradients(&x, &params, run).iter().zip(&gradients(&x, &params, reference)) {
                let size = plain.abs().max().double_value(&[]).max(1.0);
                prop_assert!(distance(ours, plain) < scale * size, "{} of {}", distance(ours, plain), size);
            }
        }
    }

    #[test]
    fn single_precision_agrees_with_double(spec in specs(), seed in 0_u64..1 << 40, inverse: bool) {
        let (x, params) = inputs(&spec, seed, 33, 3);
        let run = |x: &Tensor, p: &Tensor| if inverse { spec.inverse(x, p) } else { spec.forward(x, p) }.unwrap();
        let params = params * 0.3;
        let (exact, single) = (run(&x, &params), run(&x.to_kind(Kind::Float), &params.to_kind(Kind::Float)));
        // Rounding of the input grows with the slope.
        let slope = exact.log_det.abs().max().double_value(&[]).exp();
        prop_assert!(distance(&exact.value, &single.value) < 1e-5 * (1.0 + slope));
        prop_assert!(distance(&exact.log_det, &single.log_det) < 1e-3);
        for (exact, single) in gradients(&x, &params, run).iter()
            .zip(&gradients(&x.to_kind(Kind::Float), &params.to_kind(Kind::Float), run)) {
            let size = exact.abs().max().double_value(&[]).max(1.0);
            prop_assert!(distance(exact, single) < 2e-3 * size, "{} of {}", distance(exact, single), size);
        }
    }

    #[test]
    fn round_trip_and_jacobian(spec in specs(), seed in 0_u64..1 << 40) {
        let (x, params) = inputs(&spec, seed, 8, 3);
        let there = spec.forward(&x, &params).unwrap();
        let back = spec.inverse(&there.value, &params).unwrap();
        prop_assert!(distance(&back.value, &x) < 1e-8);
        prop_assert!(distance(&back.log_det, &-&there.log_det) < 1e-6);
        // Away from the ends, where the slope may jump for bounded tails.
        let x = &x * 0.97 + 0.013;
        let there = spec.forward(&x, &params).unwrap();
        let exact = jacobian(&|x| Ok(spec.forward(x, &params)?.value), &x, Graph::Free).unwrap();
        let diagonal = exact.diagonal(0, -2, -1);
        let log_det = diagonal.abs().log().sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>);
        prop_assert!(distance(&log_det, &there.log_det) < 1e-9);
    }
}

#[test]
fn strided_input_and_second_derivatives() {
    let spec = RationalQuadratic::new(5, 2.0);
    let (x, params) = inputs(&spec, 4, 6, 2);
    let strided = x.transpose(0, 1).contiguous().transpose(0, 1);
    assert!(!strided.is_contiguous());
    let wide = params.repeat([1, 1, 2]).slice(-1, 0, spec.parameters() as i64, 1);
    let plain = spec.forward(&x, &params).unwrap();
    let same = spec.forward(&strided, &wide).unwrap();
    assert_eq!(distance(&plain.value, &same.value), 0.0);

    let hessian = |run: &dyn Fn(&Tensor) -> Tensor| {
        let x = leaf(&x).unwrap();
        let log_det = run(&x);
        let first =
            grad(&[&log_det], &[None], &[&x], Graph::Differentiable).unwrap().remove(0).unwrap();
        grad(&[&first], &[None], &[&x], Graph::Free).unwrap().remove(0).unwrap()
    };
    let fused = hessian(&|x| spec.forward(x, &params).unwrap().log_det);
    let composed = hessian(&|x| spec.compose(x, &params, false).unwrap().log_det);
    assert!(distance(&fused, &composed) < 1e-9);
    assert!(fused.abs().max().double_value(&[]) > 1e-3);
}

#[test]
fn wrong_arguments_are_named() {
    let spec = RationalQuadratic::new(5, 2.0);
    let (x, params) = inputs(&spec, 4, 6, 2);
    let message = spec.forward(&x, &params.slice(-1, 0, 3, 1)).unwrap_err().to_string();
    assert_eq!(message, "spline parameters: expected shape [6, 2, 14], got [6, 2, 3]");
    let message = spec.forward(&x, &params.to_kind(Kind::Float)).unwrap_err().to_string();
    assert!(message.contains("expected dtype Double, got Float"), "{message}");
    let message = RationalQuadratic::new(0, 2.0).forward(&x, &params).unwrap_err().to_string();
    assert!(message.starts_with("bins: expected 1 to 1024"), "{message}");
}

#[test]
fn a_bad_parameter_shows_in_the_output() {
    let spec = RationalQuadratic::new(5, 2.0);
    let (x, params) = inputs(&spec, 4, 6, 2);
    let x = x * 0.1;
    let _bad = params.get(2).get(1).get(0).fill_(f64::NAN);
    for kind in [Kind::Float, Kind::Double] {
        let log_det = spec.forward(&x.to_kind(kind), &params.to_kind(kind)).unwrap().log_det;
        let finite = Vec::<bool>::try_from(log_det.isfinite()).unwrap();
        assert_eq!(finite, [true, true, false, true, true, true]);
    }
}
