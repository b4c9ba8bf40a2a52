use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_tensor::logdet;
use proptest::prelude::*;
use std::time::Duration;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn structured_agree_with_dense(seed in 0_u64..1 << 40, batch in 0_i64..4, d in 1_i64..7) {
        let a = normal(seed, &[batch, d, d]);
        let lower = a.tril(0);
        prop_assert!(distance(&logdet::triangular(&lower).unwrap(), &logdet::dense(&lower).unwrap()) < 1e-9);
        let upper = a.triu(0);
        prop_assert!(distance(&logdet::triangular(&upper).unwrap(), &logdet::dense(&upper).unwrap()) < 1e-9);
        let v = normal(seed + 1, &[batch, d]);
        prop_assert!(distance(&logdet::diagonal(&v).unwrap(), &logdet::dense(&v.diag_embed(0, -2, -1)).unwrap()) < 1e-9);
    }

    #[test]
    fn the_gradient_is_the_inverse_transposed(seed in 0_u64..1 << 40, d in 1_i64..7) {
        let a = leaf(&(normal(seed, &[2, d, d]) + Tensor::eye(d, DOUBLE_CPU) * 3.0)).unwrap();
        let sum = logdet::dense(&a).unwrap().sum(Kind::Double);
        let slope = gradient(&sum, None, &a, Graph::Free).unwrap();
        prop_assert!(distance(&slope, &a.detach().inverse().transpose(-2, -1)) < 1e-8);
    }
}

#[test]
fn singular_and_wrong_matrices() {
    let value = logdet::dense(&Tensor::zeros([2, 2], DOUBLE_CPU)).unwrap();
    assert_eq!(value.double_value(&[]), f64::NEG_INFINITY);
    let message = logdet::dense(&Tensor::zeros([3, 2], DOUBLE_CPU)).unwrap_err().to_string();
    assert_eq!(message, "matrix: expected shape […, D, D], got [3, 2]");
}

/// LibTorch's own batched LU does not return here with two threads: ours must.
#[test]
fn large_batches_on_the_cpu_return() {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let a = normal(3, &[3, 256, 256]);
        let a = leaf(&a).unwrap();
        let value = logdet::dense(&a).unwrap();
        let slope = gradient(&value.sum(Kind::Double), None, &a, Graph::Free).unwrap();
        let inverse = slope.select(0, 1).transpose(0, 1).matmul(&a.detach().select(0, 1));
        let off = distance(&inverse, &Tensor::eye(256, DOUBLE_CPU));
        let one = logdet::dense(&a.detach().select(0, 2)).unwrap();
        sender.send((off, distance(&one, &value.detach().select(0, 2)))).unwrap();
    });
    let (off, gap) =
        receiver.recv_timeout(Duration::from_secs(60)).expect("the log-determinant returns");
    assert!(off < 1e-8 && gap < 1e-9, "{off} {gap}");
}
