//! Deep stacks in float32 stay finite while they train, and can be inverted afterwards.

use maxlik_flows::{
    BaseConfig, FlowConfig, LayerConfig, Mask, NetworkConfig, SplineConfig, univariate::Scale,
};
use maxlik_model::Density;
use maxlik_nn::{MlpConfig, Params};
use maxlik_tensor::adamw::{AdamW, Step};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{host, with_seed};
use tch::{Device, Kind, Tensor};

const DIMS: i64 = 64;

/// Training steps: a few by default; MAXLIK_STEPS=2000 for the long run that docs/flows.md reports.
fn steps() -> u64 {
    std::env::var("MAXLIK_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(60)
}

/// Standardised numbers with strong correlation and heavy tails: now and then one is twenty standard
/// deviations out.
fn data(step: u64) -> Tensor {
    with_seed(step, || {
        let options = (Kind::Float, Device::Cpu);
        let walk = Tensor::randn([128, DIMS], options).cumsum(1, Kind::Float);
        let each = Tensor::arange(DIMS, options).sqrt() + 1.0;
        walk / each * (Tensor::randn([128, 1], options) * 0.8).exp()
    })
}

fn train_and_invert(layer: impl Fn(usize) -> LayerConfig, layers: usize) {
    let params = Params::new(5, Kind::Float, Device::Cpu);
    let layers = (0..layers).map(layer).collect();
    let config = FlowConfig { layers, base: BaseConfig::Normal {} };
    let flow = config.build(&params.root(), DIMS, None, Vec::new()).unwrap();
    let named = params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
    let mut optimizer =
        AdamW::new(leaves.iter().map(|tensor| tensor.shallow_clone()).collect()).unwrap();
    let numbers = Step { lr: 1e-3, beta1: 0.9, beta2: 0.999, weight_decay: 0.0, eps: 1e-8 };
    let mut losses = Vec::new();
    for step in 0..steps() {
        let loss = -flow.log_prob(&data(step), None).unwrap().mean(Kind::Float);
        losses.push(host::scalar(&loss).unwrap());
        assert!(losses[losses.len() - 1].is_finite(), "step {step}: {losses:?}");
        let found = grad(&[&loss], &[None], &leaves, Graph::Free).unwrap();
        let found: Vec<Tensor> = found.into_iter().flatten().collect();
        for (gradient, (name, _)) in found.iter().zip(&named) {
            assert!(
                host::scalar(&gradient.isfinite().all()).unwrap() == 1.0,
                "step {step}: {name}"
            );
        }
        optimizer.step(&found, &numbers).unwrap();
    }
    assert!(losses[losses.len() - 1] < losses[0], "{losses:?}");

    let _no_grad = tch::no_grad_guard();
    let x = data(1 << 40);
    let z = flow.transform().forward(&x, None).unwrap();
    let back = flow.transform().inverse(&z.value, None).unwrap();
    let off = (back.value - &x).abs().amax([1_i64].as_slice(), false)
        / x.abs().amax([1_i64].as_slice(), false);
    let worst = host::scalar(&off.max()).unwrap();
    assert!(worst < 1e-4, "relative error of the round trip: {worst}");
    eprintln!(
        "{} steps: loss {} to {}, round trip {worst:e}",
        losses.len(),
        losses[0],
        losses[losses.len() - 1]
    );
}

fn network() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { hidden: vec![64], ..MlpConfig::default() })
}

#[test]
fn sixty_four_affine_couplings_stay_finite() {
    let scale = Scale::default();
    let layer =
        |i| LayerConfig::AffineCoupling { mask: Mask::alternating(i), network: network(), scale };
    train_and_invert(layer, 64);
}

#[test]
fn thirty_two_spline_couplings_stay_finite() {
    let layer = |i| LayerConfig::SplineCoupling {
        mask: Mask::alternating(i),
        network: network(),
        spline: SplineConfig::default(),
    };
    train_and_invert(layer, 32);
}
