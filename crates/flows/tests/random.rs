//! Layers of random size with random parameters: round trip, and the log-determinant of the Jacobian.

use maxlik_flows::LayerConfig;
use maxlik_nn::Params;
use maxlik_tensor::autograd::{Graph, jacobian};
use maxlik_tensor::{logdet, with_seed};
use maxlik_testkit::{distance, normal};
use proptest::prelude::*;
use tch::{Device, Kind};

const LAYERS: &[&str] = &[
    "kind = \"elementwise\"\nmap = { kind = \"affine\" }",
    "kind = \"elementwise\"\nmap = { kind = \"sinh_arcsinh\" }",
    "kind = \"elementwise\"\nmap = { kind = \"signed_power\" }",
    "kind = \"elementwise\"\nmap = { kind = \"gaussianize\", components = 3 }",
    "kind = \"elementwise\"\nmap = { kind = \"linear_spline\", bins = 6, low = -2.0, high = 1.5 }",
    "kind = \"elementwise\"\nmap = { kind = \"quadratic_spline\", bins = 6, low = -2.0, high = 1.5 }",
    "kind = \"elementwise\"\nmap = { kind = \"cubic_spline\", bins = 6, low = -2.0, high = 1.5 }",
    "kind = \"dense\"",
    "kind = \"qr_linear\"\nreflections = 2",
    "kind = \"svd_linear\"\nreflections = 3",
    "kind = \"householder\"\nreflections = 4",
    "kind = \"orthogonal\"",
    "kind = \"low_rank_linear\"\nrank = 1",
    "kind = \"matrix_exponential\"",
    "kind = \"planar\"",
    "kind = \"radial\"",
    "kind = \"sylvester\"\nrank = 1",
    "kind = \"residual\"\ncontraction = { hidden = [6] }\nlog_det = { kind = \"exact\" }",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_size_and_any_parameters(seed in 0_u64..1 << 40, dims in 1_i64..7, batch in 0_i64..5) {
        for layer in LAYERS {
            let config: LayerConfig = toml::from_str(layer).unwrap();
            let params = Params::new(seed, Kind::Double, Device::Cpu);
            let built = config.build(&params.root(), dims, None).unwrap();
            {
                let _no_grad = tch::no_grad_guard();
                for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
                    let noise = normal(seed + 1 + i as u64, &tensor.size()) * 0.4;
                    let _ = tensor.f_add_(&noise).unwrap();
                }
            }
            let x = normal(seed, &[batch, dims]);
            let there = with_seed(seed, || built.forward(&x, None)).unwrap();
            let map = |x: &tch::Tensor| Ok(built.forward(x, None)?.value);
            let exact = logdet::dense(&jacobian(&map, &x, Graph::Free).unwrap()).unwrap();
            // A matrix drawn at random may be nearly singular: errors grow with its condition.
            let allowed = 1e-7 * (1.0 + (-&exact).exp().sum(Kind::Double).double_value(&[]));
            let off = distance(&there.log_det, &exact);
            prop_assert!(off < allowed, "{}: log-determinant is off by {:e}", layer, off);
            let back = built.inverse(&there.value, None).unwrap();
            let off = distance(&back.value, &x);
            prop_assert!(off < allowed, "{}: round trip is off by {:e}", layer, off);
        }
    }
}
