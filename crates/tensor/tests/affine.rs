use super::{distance, normal};
use maxlik_tensor::affine::{Affine, Scale};
use maxlik_tensor::autograd::{Graph, grad, leaf};
use maxlik_tensor::spline::Elementwise;
use proptest::prelude::*;
use tch::{Kind, Tensor};

fn maps() -> impl Strategy<Value = Affine> {
    prop_oneof![
        Just(Scale::SoftClip { slope: 1e-3 }),
        Just(Scale::Sigmoid { floor: 1e-3 }),
        Just(Scale::Softplus { floor: 1e-3 }),
        Just(Scale::Exp),
    ]
    .prop_map(|scale| Affine { scale })
}

fn gradients(
    x: &Tensor,
    params: &Tensor,
    run: impl Fn(&Tensor, &Tensor) -> Elementwise,
) -> Vec<Tensor> {
    let (x, params) = (leaf(x).unwrap(), leaf(params).unwrap());
    let out = run(&x, &params);
    let (u, v) = (normal(77, &out.value.size()), normal(78, &out.log_det.size()));
    let (u, v) = (u.to_kind(x.kind()), v.to_kind(x.kind()));
    grad(&[&out.value, &out.log_det], &[Some(&u), Some(&v)], &[&x, &params], Graph::Free)
        .unwrap()
        .into_iter()
        .flatten()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_kernel_agrees_with_the_composition(
        map in maps(), seed in 0_u64..1 << 40, batch in 0_i64..40, dims in 0_i64..20, inverse: bool, single: bool
    ) {
        let kind = if single { Kind::Float } else { Kind::Double };
        let (x, params) = (normal(seed, &[batch, dims]), normal(seed + 1, &[batch, dims, 2]));
        let run = |x: &Tensor, p: &Tensor| if inverse { map.inverse(x, p) } else { map.forward(x, p) }.unwrap();
        let plain = |x: &Tensor, p: &Tensor| map.compose(x, p, inverse).unwrap();
        let (ours, reference) = (run(&x.to_kind(kind), &params.to_kind(kind)), plain(&x, &params));
        let off = distance(&ours.value, &reference.value).max(distance(&ours.log_det, &reference.log_det));
        let tolerance = if single { 2e-4 } else { 1e-11 };
        let size = if x.numel() == 0 { 1.0 } else { reference.value.abs().max().double_value(&[]).max(1.0) };
        prop_assert!(off < tolerance * size, "{off}");
        if x.numel() > 0 {
            let ours = gradients(&x.to_kind(kind), &params.to_kind(kind), run);
            for (ours, plain) in ours.iter().zip(&gradients(&x, &params, plain)) {
                let size = plain.abs().max().double_value(&[]).max(1.0);
                prop_assert!(distance(ours, plain) < tolerance * size, "{}", distance(ours, plain));
            }
        }
    }
}

#[test]
fn strided_input_and_second_derivatives() {
    let map = Affine { scale: Scale::Softplus { floor: 1e-3 } };
    let (x, params) = (normal(4, &[6, 3]), normal(5, &[6, 3, 2]));
    let strided = x.transpose(0, 1).contiguous().transpose(0, 1);
    let swapped = params.transpose(0, 2).contiguous().transpose(0, 2);
    let (a, b) = (map.forward(&x, &params).unwrap(), map.forward(&strided, &swapped).unwrap());
    assert_eq!(distance(&a.value, &b.value), 0.0);
    let second = |run: &dyn Fn(&Tensor) -> Elementwise| {
        let p = leaf(&params).unwrap();
        let out = run(&p);
        let first = grad(&[&out.value, &out.log_det], &[None, None], &[&p], Graph::Differentiable);
        let first = first.unwrap().remove(0).unwrap();
        grad(&[&first], &[None], &[&p], Graph::Free).unwrap().remove(0).unwrap()
    };
    let fused = second(&|p| map.forward(&x, p).unwrap());
    let composed = second(&|p| map.compose(&x, p, false).unwrap());
    assert!(distance(&fused, &composed) < 1e-12);
    assert!(fused.abs().max().double_value(&[]) > 1e-2);
    let message = map.forward(&x, &x).unwrap_err().to_string();
    assert_eq!(message, "affine parameters: expected shape [6, 3, 2], got [6, 3]");
}
