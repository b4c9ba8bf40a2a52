//! Layers with a constant Jacobian leave it out of energies, without computing it.

use maxlik_flows::LayerConfig;
use maxlik_nn::Params;
use maxlik_tensor::logdet::factorizations;
use maxlik_testkit::{distance, normal};
use tch::{Device, Kind};

#[test]
fn constant_determinants_are_left_out() {
    for kind in [
        "kind = \"dense\"",
        "kind = \"lu_linear\"",
        "kind = \"qr_linear\"\nreflections = 3",
        "kind = \"svd_linear\"\nreflections = 3",
        "kind = \"low_rank_linear\"\nrank = 2",
        "kind = \"matrix_exponential\"",
        "kind = \"actnorm\"",
        "kind = \"pointwise_convolution\"\nshape = [2, 2, 2]",
        "kind = \"circular_convolution\"\nshape = [2, 2, 2]\nkernel = [1, 1]",
        "kind = \"emerging_convolution\"\nshape = [2, 2, 2]\nkernel = [3, 3]",
    ] {
        let config: LayerConfig = toml::from_str(kind).unwrap();
        let params = Params::new(3, Kind::Double, Device::Cpu);
        let layer = config.build(&params.root(), 8, None).unwrap();
        let _no_grad = tch::no_grad_guard();
        for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
            let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * 0.3)).unwrap();
        }
        let x = normal(2, &[4, 8]);
        let whole = layer.map(&x, None).unwrap();
        assert!(whole.log_det.abs().min().double_value(&[]) > 1e-6, "{kind}: nothing to leave out");
        let before = factorizations();
        let part = layer.map_unnormalized(&x, None).unwrap();
        assert_eq!(factorizations(), before, "{kind}");
        assert!(distance(&part.value, &whole.value) < 1e-14, "{kind}");
        assert_eq!(part.log_det.abs().max().double_value(&[]), 0.0, "{kind}");
    }
}
