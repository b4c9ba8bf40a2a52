use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params, ResidualConfig, ResidualNet};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::with_seed;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

pub(crate) fn normal(seed: u64, shape: &[i64]) -> Tensor {
    with_seed(seed, || Tensor::randn(shape, DOUBLE_CPU))
}

pub(crate) fn every_parameter_gets_a_gradient(params: &Params, y: &Tensor) {
    let named = params.trainable();
    let tensors: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    let found = grad(&[y], &[Some(&normal(9, &y.size()))], &tensors, Graph::Free).unwrap();
    for ((name, _), gradient) in named.iter().zip(found) {
        let size = gradient.map_or(0.0, |g| g.abs().max().double_value(&[]));
        assert!(size > 0.0, "{name} has no gradient");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn networks_have_the_right_shapes(
        batch in 0_i64..5, inputs in 1_i64..5, context in 0_i64..3, outputs in 1_i64..4, depth in 0_usize..3
    ) {
        let params = Params::new(5, Kind::Double, Device::Cpu);
        let config = MlpConfig { hidden: vec![7; depth], activation: Activation::Tanh, dropout: 0.0 };
        let mlp = Mlp::new(&params.root().sub("mlp"), inputs, context, outputs, &config).unwrap();
        let config = ResidualConfig { hidden: 7, blocks: depth, ..ResidualConfig::default() };
        let res = ResidualNet::new(&params.root().sub("res"), inputs, context, outputs, &config).unwrap();
        let x = normal(1, &[batch, inputs]);
        let c = (context > 0).then(|| normal(2, &[batch, context]));
        for net in [&mlp as &dyn Network, &res] {
            prop_assert_eq!(net.forward(&x, c.as_ref()).unwrap().size(), vec![batch, outputs]);
        }
    }
}

#[test]
fn all_parameters_are_used() {
    for context in [0, 2] {
        let params = Params::new(5, Kind::Double, Device::Cpu);
        let config = MlpConfig { activation: Activation::Silu, ..MlpConfig::default() };
        let mlp = Mlp::new(&params.root(), 3, context, 2, &config).unwrap();
        let c = (context > 0).then(|| normal(2, &[6, context]));
        every_parameter_gets_a_gradient(
            &params,
            &mlp.forward(&normal(1, &[6, 3]), c.as_ref()).unwrap(),
        );
        let params = Params::new(5, Kind::Double, Device::Cpu);
        let net =
            ResidualNet::new(&params.root(), 3, context, 2, &ResidualConfig::default()).unwrap();
        every_parameter_gets_a_gradient(
            &params,
            &net.forward(&normal(1, &[6, 3]), c.as_ref()).unwrap(),
        );
    }
}

#[test]
fn dropout_follows_the_mode() {
    let params = Params::new(5, Kind::Double, Device::Cpu);
    let config = MlpConfig { dropout: 0.5, ..MlpConfig::default() };
    let mlp = Mlp::new(&params.root(), 3, 0, 2, &config).unwrap();
    let x = normal(1, &[4, 3]);
    let run = |seed| with_seed(seed, || mlp.forward(&x, None).unwrap());
    assert_eq!(run(1), run(2));
    params.set_training(true);
    assert_ne!(run(1), run(2));
    assert_eq!(run(1), run(1));
    assert!(
        Mlp::new(&params.root().sub("x"), 3, 0, 2, &MlpConfig { dropout: 1.0, ..config }).is_err()
    );
}

#[test]
fn activations_match_their_formulas() {
    let x = Tensor::from_slice(&[-1.5_f64, -0.2, 0.0, 0.7, 3.0]);
    let close = |a: Activation, f: &dyn Fn(f64) -> f64| {
        for (x, y) in Vec::<f64>::try_from(&x)
            .unwrap()
            .into_iter()
            .zip(Vec::<f64>::try_from(a.apply(&x).unwrap()).unwrap())
        {
            assert!((f(x) - y).abs() < 1e-12, "{a:?} at {x}");
        }
    };
    close(Activation::Relu, &|x| x.max(0.0));
    close(Activation::Elu, &|x| {
        if x > 0.0 { x } else { x.exp() - 1.0 }
    });
    close(Activation::Silu, &|x| x / (1.0 + (-x).exp()));
    close(Activation::Tanh, &f64::tanh);
    close(Activation::Softplus, &|x| x.exp().ln_1p());
    close(Activation::LeakyRelu, &|x| {
        if x > 0.0 { x } else { 0.01 * x }
    });
}
