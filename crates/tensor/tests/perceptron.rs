use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, grad, leaf};
use maxlik_tensor::gelu::Gelu;
use maxlik_tensor::perceptron::{Between, Layer, Staircase, rectified, run};
use proptest::prelude::*;
use tch::{Kind, Tensor};

/// A mask in which the inputs that a row reads grow (or shrink) from row to row.
fn staircase(rows: i64, columns: i64, falling: bool) -> Staircase {
    let row = Tensor::arange(rows, (Kind::Double, tch::Device::Cpu)).view([rows, 1]);
    let row = if falling { row.flip([0_i64]) } else { row };
    let column = Tensor::arange(columns, (Kind::Double, tch::Device::Cpu)).view([1, columns]);
    let mask = (column * rows as f64).le_tensor(&(row * columns as f64));
    Staircase::new(&mask.to_kind(Kind::Double)).unwrap()
}

fn plain(x: &Tensor, layers: &[Layer<'_>], between: Between) -> Tensor {
    let mut h = x.shallow_clone();
    for (i, layer) in layers.iter().enumerate() {
        if i > 0 {
            h = match between {
                Between::Rectifier => h.relu(),
                Between::Gelu(Gelu::Exact) => h.gelu("none"),
                Between::Gelu(Gelu::Tanh) => h.gelu("tanh"),
            };
        }
        let weight =
            layer.mask.map_or_else(|| layer.weight.shallow_clone(), |m| layer.weight * m.mask());
        h = h.linear(&weight, Some(layer.bias));
    }
    h
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_op_agrees_with_its_composition(
        widths in prop::collection::vec(prop_oneof![1_i64..6, 120_i64..300], 2..5),
        batch in 0_i64..9, masked: bool, between in prop_oneof![
            Just(Between::Rectifier), Just(Between::Gelu(Gelu::Exact)), Just(Between::Gelu(Gelu::Tanh)),
        ], falling: bool, seed in 0_u64..1 << 40,
    ) {
        let mut tensors = vec![leaf(&normal(seed, &[batch, widths[0]])).unwrap()];
        let mut masks = Vec::new();
        for (i, pair) in widths.windows(2).enumerate() {
            tensors.push(leaf(&normal(seed + 2 * i as u64 + 1, &[pair[1], pair[0]])).unwrap());
            tensors.push(leaf(&normal(seed + 2 * i as u64 + 2, &[pair[1]])).unwrap());
            masks.push(masked.then(|| staircase(pair[1], pair[0], falling)));
        }
        let layers: Vec<Layer<'_>> = masks.iter().enumerate()
            .map(|(i, mask)| Layer { weight: &tensors[2 * i + 1], bias: &tensors[2 * i + 2], mask: mask.as_ref() })
            .collect();
        let all: Vec<&Tensor> = tensors.iter().collect();
        let (ours, reference) = (run(&tensors[0], &layers, between).unwrap(), plain(&tensors[0], &layers, between));
        let size = if batch == 0 { 1.0 } else { reference.abs().max().double_value(&[]).max(1.0) };
        prop_assert!(distance(&ours, &reference) < 1e-12 * size);
        let cotangent = normal(seed + 99, &reference.size());
        let gradients = |y: &Tensor| grad(&[y], &[Some(&cotangent)], &all, Graph::Free).unwrap();
        for (a, b) in gradients(&ours).iter().zip(gradients(&reference)) {
            let (a, b) = (a.as_ref().unwrap(), b.unwrap());
            let size = if b.numel() == 0 { 1.0 } else { b.abs().max().double_value(&[]).max(1.0) };
            prop_assert!(distance(a, &b) < 1e-11 * size, "{}", distance(a, &b));
        }
    }
}

#[test]
fn an_input_that_needs_no_gradient_gets_none_and_second_derivatives_are_right() {
    let (w, b) = (leaf(&normal(1, &[3, 2])).unwrap(), leaf(&normal(2, &[3])).unwrap());
    let (v, c) = (leaf(&normal(3, &[1, 3])).unwrap(), leaf(&normal(4, &[1])).unwrap());
    let layers =
        [Layer { weight: &w, bias: &b, mask: None }, Layer { weight: &v, bias: &c, mask: None }];
    let x = normal(5, &[4, 2]);
    let y = rectified(&x, &layers).unwrap();
    assert!(
        grad(&[&y], &[None], &[&w, &b, &v, &c], Graph::Free).unwrap().iter().all(Option::is_some)
    );
    let x = leaf(&x).unwrap();
    let second = |y: Tensor| {
        let first = grad(&[&y], &[None], &[&x], Graph::Differentiable).unwrap().remove(0).unwrap();
        grad(&[&first.square()], &[None], &[&w], Graph::Free).unwrap().remove(0).unwrap()
    };
    let (ours, reference) =
        (second(rectified(&x, &layers).unwrap()), second(plain(&x, &layers, Between::Rectifier)));
    assert!(distance(&ours, &reference) < 1e-12);
    assert!(ours.abs().max().double_value(&[]) > 1e-3);
    let message = rectified(&x, &layers[1..]).unwrap_err().to_string();
    assert_eq!(message, "weight: expected shape [1, 2], got [1, 3]");
}
