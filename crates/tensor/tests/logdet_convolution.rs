//! Convolutions against the determinant of their Jacobian.

use super::{distance, normal};
use maxlik_tensor::autograd::{Graph, gradient, jacobian, leaf};
use maxlik_tensor::logdet;
use proptest::prelude::*;
use tch::{Kind, Tensor};

fn kernel(seed: u64, channels: i64, spatial: &[i64]) -> Tensor {
    let mut shape = vec![channels, channels];
    shape.extend_from_slice(spatial);
    let kernel = normal(seed, &shape) * 0.2;
    let middle = spatial.iter().fold(kernel.shallow_clone(), |k, s| k.select(2, s / 2));
    let _ = middle.shallow_clone().f_add_(&Tensor::eye(channels, tch::kind::DOUBLE_CPU)).unwrap();
    kernel
}

/// The convolution with one-sided periodic padding.
fn circular(x: &Tensor, kernel: &Tensor) -> Tensor {
    let (kh, kw) = (kernel.size()[2], kernel.size()[3]);
    let padded = x.f_pad([0, kw - 1, 0, kh - 1].as_slice(), "circular", None).unwrap();
    padded.conv2d(kernel, None::<Tensor>, [1, 1], [0, 0], [1, 1], 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn convolutions_are_their_jacobians(seed in 0_u64..1 << 40, channels in 1_i64..3, h in 3_i64..5, w in 3_i64..6) {
        let x = normal(seed + 1, &[1, channels, h, w]);
        for spatial in [[3, 3], [1, 2], [2, 3]] {
            let kernel = leaf(&kernel(seed, channels, &spatial)).unwrap();
            let ours = logdet::circular_convolution(&kernel, &[h, w]).unwrap();
            let exact = jacobian(&|x| Ok(circular(x, &kernel)), &x, Graph::Differentiable).unwrap();
            let exact = logdet::dense(&exact).unwrap().squeeze_dim(0);
            prop_assert!(distance(&ours, &exact) < 1e-9);
            let slope = |of: &Tensor| gradient(of, None, &kernel, Graph::Keep).unwrap();
            prop_assert!(distance(&slope(&ours), &slope(&exact)) < 1e-7);
        }
        let kernel = kernel(seed, channels, &[3, 3]);
        let ours = logdet::padded_convolution(&kernel, h, w).unwrap();
        let exact = jacobian(&|x| Ok(x.f_conv2d(&kernel, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)?), &x, Graph::Free).unwrap();
        prop_assert!(distance(&ours, &logdet::dense(&exact).unwrap().squeeze_dim(0)) < 1e-9);
        let image = logdet::toeplitz(&kernel, h, w).unwrap().matmul(&x.reshape([-1]));
        let direct = x.conv2d(&kernel, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1);
        prop_assert!(distance(&image, &direct.reshape([-1])) < 1e-12);
    }

    #[test]
    fn one_by_one_and_signals(seed in 0_u64..1 << 40, channels in 1_i64..4, places in 1_i64..6) {
        let weight = kernel(seed, channels, &[]);
        let ours = logdet::pointwise_convolution(&weight, places).unwrap();
        let same = logdet::circular_convolution(&weight.unsqueeze(-1), &[places]).unwrap();
        prop_assert!(distance(&ours, &same) < 1e-10);
    }
}

#[test]
fn kernels_that_do_not_fit_are_refused() {
    let message =
        |size: &[i64], k: &Tensor| logdet::circular_convolution(k, size).unwrap_err().to_string();
    assert!(message(&[2, 2], &kernel(1, 1, &[3, 3])).starts_with("kernel: expected shape [C, C"));
    assert!(message(&[4], &kernel(1, 1, &[3, 3])).starts_with("kernel: expected shape"));
    assert!(logdet::padded_convolution(&kernel(1, 2, &[2, 3]), 4, 4).is_err());
    let wide = normal(1, &[2, 1, 3, 3]);
    assert!(logdet::circular_convolution(&wide, &[4, 4]).is_err());
    assert_eq!(wide.kind(), Kind::Double);
}
