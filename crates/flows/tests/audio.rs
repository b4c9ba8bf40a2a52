use maxlik_flows::audio::{AtRate, FloWaveNet, FloWaveNetConfig, Squeeze1d};
use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::{ActNorm, Flow, LuLinear};
use maxlik_model::{Bijection, Density};
use maxlik_nn::{Params, WaveNetConfig};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_testkit::{Subject, check_bijection, check_density, distance, normal};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn config() -> FloWaveNetConfig {
    FloWaveNetConfig {
        blocks: 2,
        flows: 2,
        blocks_per_split: 1,
        wavenet: WaveNetConfig { channels: 6, ..WaveNetConfig::default() },
        strides: vec![2, 2],
    }
}

/// On 16 samples with contexts of 3 bands and 4 frames.
fn build(config: &FloWaveNetConfig) -> (Params, FloWaveNet) {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let rate: i64 = config.strides.iter().product();
    let flow = FloWaveNet::new(&params.root(), 3, 16 / rate, config).unwrap();
    (params, flow)
}

fn jitter(params: &Params, std: f64) {
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * std)).unwrap();
    }
}

#[test]
fn layers_on_waveforms_are_bijections() {
    check_bijection(&Subject::new("Squeeze1d", &|_| Ok(Box::new(Squeeze1d::new([2, 6])?))));
    let same_rate = FloWaveNetConfig { strides: vec![], blocks_per_split: 0, ..config() };
    for (name, config, frames) in
        [("FloWaveNet", config(), 4), ("FloWaveNet at one rate, no split", same_rate, 16)]
    {
        check_bijection(
            &Subject::new(name, &|s| Ok(Box::new(FloWaveNet::new(s, 3, frames, &config)?)))
                .within(1e-8, 2e-3)
                .jittered(0.1),
        );
    }
}

#[test]
fn squeezing_parts_even_and_odd_samples() {
    let x = Tensor::arange(8, DOUBLE_CPU).reshape([1, 2, 4]);
    let z = Squeeze1d::new([2, 4]).unwrap().forward(&x, None).unwrap().value;
    let expected = Tensor::from_slice(&[0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(distance(&z.reshape([-1]), &expected), 0.0);
    let error = Squeeze1d::new([1, 3]).unwrap_err().to_string();
    assert_eq!(error, "squeeze: expected an even length, got 3");
}

/// Heads start at zero: only activation normalisation acts, and of its layers only the first in a
/// block has anything to do.
#[test]
fn the_flow_starts_as_activation_normalisation() {
    let one = FloWaveNetConfig { blocks: 1, blocks_per_split: 0, ..config() };
    let (params, flow) = build(&one);
    let x = normal(1, &[32, 1, 16]) * 3.0 + 2.0;
    let context = normal(2, &[32, 3, 4]);
    let latent = flow.initialize(&x, Some(&context)).unwrap().reshape([32, 2, 8]);
    let dims = [0_i64, 2];
    let mean = latent.mean_dim(dims.as_slice(), false, None);
    let std = latent.std_dim(dims.as_slice(), false, false);
    assert!(mean.abs().max().double_value(&[]) < 1e-12);
    assert!((std - 1.0).abs().max().double_value(&[]) < 1e-12);

    let other = Params::new(4, Kind::Double, Device::Cpu);
    let norm = ActNorm::new(&other.root(), &[2, 8]).unwrap();
    let squeezed = Squeeze1d::new([1, 16]).unwrap().forward(&x, None).unwrap().value;
    let _ = norm.initialize(&squeezed, None).unwrap();
    let alone = norm.forward(&squeezed, None).unwrap();
    let base = DiagonalNormal::standard(&params.root(), &[16]);
    let flat = alone.value.reshape([32, 16]);
    let expected = base.log_prob(&flat, None).unwrap() + alone.log_det;
    let density = Flow::new(Box::new(flow), Box::new(base)).unwrap();
    let found = density.log_prob(&x, Some(&context)).unwrap();
    assert!(distance(&found, &expected) < 1e-10);
}

#[test]
fn samples_have_a_density_and_depend_on_nothing_at_temperature_zero() {
    let (params, flow) = build(&config());
    jitter(&params, 0.1);
    let context = normal(2, &[5, 3, 4]);
    let (one, two) = (normal(3, &[5, 16]) * 0.0, normal(4, &[5, 16]) * 0.0);
    let at = |z: &Tensor| flow.inverse(z, Some(&context)).unwrap().value;
    assert_eq!(distance(&at(&one), &at(&two)), 0.0);
    let base = DiagonalNormal::standard(&params.root(), &[16]);
    check_density("FloWaveNet", &Flow::new(Box::new(flow), Box::new(base)).unwrap());
}

#[test]
fn latents_see_both_directions_of_time_unless_causal() {
    for causal in [false, true] {
        let wavenet = WaveNetConfig { channels: 6, causal, ..WaveNetConfig::default() };
        let one = FloWaveNetConfig { blocks: 1, wavenet, blocks_per_split: 0, ..config() };
        let (params, flow) = build(&one);
        jitter(&params, 0.3);
        let context = normal(2, &[1, 3, 4]);
        let x = leaf(&normal(1, &[1, 1, 16])).unwrap();
        let z = flow.forward(&x, Some(&context)).unwrap().value.reshape([2, 8]);
        // The latent of samples 8 and 9.
        let at = z.select(1, 4).sum(Kind::Double);
        let slope = gradient(&at, None, &x, Graph::Free).unwrap().reshape([16]).abs();
        assert!(slope.narrow(0, 0, 8).max().double_value(&[]) > 0.0);
        assert_eq!(slope.narrow(0, 10, 6).max().double_value(&[]) > 0.0, !causal);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let message = |frames, config: &FloWaveNetConfig| {
        FloWaveNet::new(&params.root(), 3, frames, config).unwrap_err().to_string()
    };
    assert_eq!(
        message(4, &FloWaveNetConfig { flows: 3, ..config() }),
        "flows: expected an even number from 2 on, got 3"
    );
    assert_eq!(
        message(4, &FloWaveNetConfig { blocks: 5, ..config() }),
        "blocks: 16 samples cannot be halved 5 times"
    );
    let lu = Box::new(LuLinear::new(&params.root().sub("lu"), 4).unwrap());
    let error = AtRate::new(lu, [1, 8], 1).unwrap_err().to_string();
    assert_eq!(error, "context: [1, 8] squeezed 1 times is not None");
    assert!(toml::from_str::<FloWaveNetConfig>("block = 3").is_err());
}
