use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, grad, leaf};
use maxlik_tensor::columns::Columns;
use proptest::prelude::*;
use tch::{Kind, Tensor};

/// A partition of some columns into up to three parts.
fn partitions() -> impl Strategy<Value = Vec<Vec<i64>>> {
    (1_usize..12).prop_flat_map(|width| {
        let order = Just((0..width as i64).collect::<Vec<i64>>()).prop_shuffle();
        (order, 0..=width, 0..=width).prop_map(|(order, a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            vec![order[..a].to_vec(), order[a..b].to_vec(), order[b..].to_vec()]
        })
    })
}

fn select(x: &Tensor, part: &[i64]) -> Tensor {
    x.index_select(1, &Tensor::from_slice(part))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn parts_are_those_of_index_select_and_join_again(
        parts in partitions(), seed in 0_u64..1 << 40, rows in 0_i64..30, single: bool
    ) {
        let kind = if single { Kind::Float } else { Kind::Double };
        let borrowed: Vec<&[i64]> = parts.iter().map(Vec::as_slice).collect();
        let columns = Columns::new(&borrowed).unwrap();
        let width = parts.concat().len() as i64;
        // Strided: every other column of a wider matrix.
        let wide = normal(seed, &[rows, 2 * width]).to_kind(kind);
        let x = wide.slice(1, 0, None, 2);
        let x = leaf(&x).unwrap();
        let found = columns.split(&x).unwrap();
        for (found, part) in found.iter().zip(&parts) {
            prop_assert_eq!(distance(found, &select(&x, part)), 0.0);
        }
        let refs: Vec<&Tensor> = found.iter().collect();
        let joined = columns.join(&refs).unwrap();
        prop_assert_eq!(distance(&joined, &x), 0.0);

        // First and second derivative of a product of the parts and of the whole.
        let outputs: Vec<Tensor> = found.iter().map(|part| part.square().sum(kind)).collect();
        let loss = outputs.iter().fold(joined.pow_tensor_scalar(3).sum(kind), |sum, part| sum + part);
        let first = grad(&[&loss], &[None], &[&x], Graph::Differentiable).unwrap().remove(0).unwrap();
        prop_assert!(distance(&first, &(x.square() * 3.0 + &x * 2.0)) < 1e-4);
        let second = grad(&[&first.sum(kind)], &[None], &[&x], Graph::Free).unwrap().remove(0).unwrap();
        prop_assert!(distance(&second, &(&x * 6.0 + 2.0)) < 1e-4);
    }
}

/// One input of the op depends on another: each path counts once, whether recorded or not.
#[test]
fn inputs_that_depend_on_each_other() {
    let columns = Columns::new(&[&[1], &[0]]).unwrap();
    let a = leaf(&normal(3, &[5, 1])).unwrap();
    let gradient = |graph| {
        let joined = columns.join(&[&a, &a.pow_tensor_scalar(2)]).unwrap();
        let loss = joined.pow_tensor_scalar(2).sum(Kind::Double);
        grad(&[&loss], &[None], &[&a], graph).unwrap().remove(0).unwrap()
    };
    let exact = &a * 2.0 + a.pow_tensor_scalar(3) * 4.0;
    assert!(distance(&gradient(Graph::Free), &exact) < 1e-12);
    let first = gradient(Graph::Differentiable);
    assert!(distance(&first, &exact) < 1e-12);
    let second = grad(&[&first], &[Some(&a.ones_like())], &[&a], Graph::Free).unwrap().remove(0);
    let exact = a.square() * 12.0 + 2.0;
    assert!(distance(&second.unwrap(), &exact) < 1e-12);
}

#[test]
fn what_is_no_partition_is_refused() {
    let error = |parts: &[&[i64]]| Columns::new(parts).unwrap_err().to_string();
    assert!(error(&[&[0, 1], &[1]]).contains("each column of 0 to 2 once"));
    assert!(error(&[&[0, 3]]).contains("columns"));
    let columns = Columns::new(&[&[1], &[0, 2]]).unwrap();
    assert!(columns.split(&normal(1, &[4, 2])).unwrap_err().to_string().contains("[B, 3]"));
    assert!(columns.join(&[&normal(1, &[4, 1])]).is_err());
    assert!(columns.join(&[&normal(1, &[4, 1]), &normal(1, &[5, 2])]).is_err());
}
