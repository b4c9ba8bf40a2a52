use crate::networks::{every_parameter_gets_a_gradient, normal};
use maxlik_nn::{
    Conv, ConvNet, ConvNetConfig, ConvShape, Network, Params, Reach, Upsample, WaveNet,
    WaveNetConfig,
};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn store() -> Params {
    Params::new(5, Kind::Double, Device::Cpu)
}

/// Layers that start at zero are moved away from there.
fn jitter(params: &Params) {
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * 0.2)).unwrap();
    }
}

fn off(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

#[test]
fn convolutions_keep_the_places_and_see_those_they_should() {
    let params = store();
    let shape = ConvShape { dilation: 2, ..ConvShape::sequence(2, 3, 3) };
    for (name, reach, seen) in
        [("both", Reach::Both, [2_i64, 4, 6]), ("causal", Reach::Causal, [0, 2, 4])]
    {
        let conv = Conv::new(&params.root().sub(name), ConvShape { reach, ..shape }).unwrap();
        let x = leaf(&normal(1, &[1, 2, 9])).unwrap();
        let y = conv.forward(&x).unwrap();
        assert_eq!(y.size(), [1, 3, 9]);
        let slope = gradient(&y.select(2, 4), None, &x, Graph::Free).unwrap();
        let reached = slope.abs().sum_dim_intlist([0_i64, 1].as_slice(), false, Kind::Double);
        for place in 0..9 {
            assert_eq!(reached.double_value(&[place]) > 0.0, seen.contains(&place), "{name}");
        }
    }
    let image = Conv::new(&params.root().sub("image"), ConvShape::image(1, 2, 3)).unwrap();
    assert_eq!(image.forward(&normal(1, &[4, 1, 5, 6])).unwrap().size(), [4, 2, 5, 6]);
    assert_eq!(image.forward(&normal(1, &[0, 1, 5, 6])).unwrap().size(), [0, 2, 5, 6]);
    let even = Conv::new(&params.root().sub("even"), ConvShape::image(1, 1, 2));
    assert!(even.unwrap_err().to_string().starts_with("kernel: expected an odd kernel"));
    let causal = ConvShape { reach: Reach::Causal, ..ConvShape::image(1, 1, 3) };
    assert!(Conv::new(&params.root().sub("x"), causal).is_err());
}

#[test]
fn weight_normalisation_starts_as_the_plain_convolution_and_fixes_the_norm() {
    let shape = ConvShape::sequence(2, 3, 3);
    let params = store();
    let normed = Conv::weight_normed(&params.root(), shape).unwrap();
    let x = normal(1, &[2, 2, 6]);
    let before = normed.forward(&x).unwrap();
    // The direction's length does not matter.
    let mut named = params.named();
    let get = |named: &[(String, Tensor)], what: &str| {
        named.iter().find(|(name, _)| name == what).unwrap().1.shallow_clone()
    };
    for (name, value) in &mut named {
        if name == "direction" {
            *value = &*value * 7.0;
        }
    }
    let plain_weight = get(&params.named(), "direction").copy();
    params.load(&named).unwrap();
    assert!(off(&normed.forward(&x).unwrap(), &before) < 1e-13);
    let bias = get(&named, "bias");
    let expected = x.conv1d(&plain_weight, Some(&bias), 1, 1, 1, 1);
    assert!(off(&before, &expected) < 1e-13);
}

#[test]
fn wavenets_use_all_parameters_and_start_at_zero() {
    for (context, weight_norm) in [(0, true), (3, false)] {
        let params = store();
        let config =
            WaveNetConfig { channels: 8, layers: 3, weight_norm, ..WaveNetConfig::default() };
        let net = WaveNet::new(&params.root(), 2, context, 4, &config).unwrap();
        let x = normal(1, &[2, 2, 16]);
        let c = (context > 0).then(|| normal(2, &[2, context, 16]));
        let start = net.forward(&x, c.as_ref()).unwrap();
        assert_eq!(start.size(), [2, 4, 16]);
        assert_eq!(start.abs().max().double_value(&[]), 0.0);
        jitter(&params);
        every_parameter_gets_a_gradient(&params, &net.forward(&x, c.as_ref()).unwrap());
    }
    let params = store();
    let none = WaveNetConfig { layers: 0, ..WaveNetConfig::default() };
    assert!(WaveNet::new(&params.root(), 1, 0, 1, &none).is_err());
}

#[test]
fn only_causal_wavenets_are_causal() {
    for causal in [false, true] {
        let params = store();
        let config = WaveNetConfig { channels: 8, causal, ..WaveNetConfig::default() };
        let net = WaveNet::new(&params.root(), 1, 0, 1, &config).unwrap();
        jitter(&params);
        let x = leaf(&normal(1, &[1, 1, 16])).unwrap();
        let y = net.forward(&x, None).unwrap();
        let slope = gradient(&y.select(2, 8), None, &x, Graph::Free).unwrap().view([16]);
        assert!(slope.get(8).abs().double_value(&[]) > 0.0);
        assert!(slope.get(7).abs().double_value(&[]) > 0.0);
        let later = slope.narrow(0, 9, 7).abs().max().double_value(&[]);
        assert_eq!(later > 0.0, !causal);
    }
}

#[test]
fn convolutional_networks_use_all_parameters() {
    for context in [0, 3] {
        let params = store();
        let config = ConvNetConfig { hidden: 6, blocks: 2, ..ConvNetConfig::default() };
        let net = ConvNet::new(&params.root(), 2, context, 4, &config).unwrap();
        let x = normal(1, &[2, 2, 4, 6]);
        let c = (context > 0).then(|| normal(2, &[2, context]));
        let start = net.forward(&x, c.as_ref()).unwrap();
        assert_eq!(start.size(), [2, 4, 4, 6]);
        assert_eq!(start.abs().max().double_value(&[]), 0.0);
        jitter(&params);
        every_parameter_gets_a_gradient(&params, &net.forward(&x, c.as_ref()).unwrap());
    }
}

#[test]
fn upsampling_multiplies_the_rate() {
    let params = store();
    let net = Upsample::new(&params.root(), &[4, 2]).unwrap();
    let x = normal(1, &[2, 3, 5]);
    let y = net.forward(&x).unwrap();
    assert_eq!(y.size(), [2, 3, 40]);
    every_parameter_gets_a_gradient(&params, &y);
    // A constant stays near itself in the middle before training.
    let flat = net.forward(&Tensor::ones([1, 3, 5], DOUBLE_CPU)).unwrap();
    let middle = flat.select(1, 1).narrow(1, 16, 8);
    assert!((middle - 1.0).abs().max().double_value(&[]) < 0.3);
    let error = Upsample::new(&params.root().sub("x"), &[3]).unwrap_err().to_string();
    assert_eq!(error, "strides: expected even numbers, got [3]");
}
