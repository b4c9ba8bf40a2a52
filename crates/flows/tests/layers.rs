//! The table of layers: one line for each, all checks of the shared checker.

use maxlik_flows::univariate::Scale;
use maxlik_flows::{
    ActNorm, Inverse, LayerConfig, Logit, LuLinear, Mask, NetworkConfig, Permutation, SplineConfig,
    Standardize,
};
use maxlik_model::Bijection;
use maxlik_nn::{MlpConfig, ResidualConfig, Scope};
use maxlik_tensor::Result;
use maxlik_testkit::{Subject, Support, check_bijection};
use tch::Tensor;

type Built = Result<Box<dyn Bijection>>;

fn mlp() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { hidden: vec![16, 16], ..MlpConfig::default() })
}

fn residual() -> NetworkConfig {
    NetworkConfig::Residual(ResidualConfig { hidden: 16, blocks: 2, ..ResidualConfig::default() })
}

fn affine(mask: Mask, scale: Scale) -> LayerConfig {
    LayerConfig::AffineCoupling { mask, network: mlp(), scale }
}

fn spline(mask: Mask, network: NetworkConfig, bounded: bool) -> LayerConfig {
    let interval = if bounded { (0.0, 1.0) } else { (-2.0, 2.0) };
    let spline = SplineConfig { bins: 5, low: interval.0, high: interval.1, bounded };
    LayerConfig::SplineCoupling { mask, network, spline }
}

#[test]
fn elementwise_and_linear() {
    check_bijection(&Subject::new("ActNorm", &|s| Ok(Box::new(ActNorm::new(s, &[5])?))));
    check_bijection(&Subject::new("ActNorm on images", &|s| {
        Ok(Box::new(ActNorm::new(s, &[3, 2, 2])?))
    }));
    check_bijection(&Subject::new("LuLinear", &|s| Ok(Box::new(LuLinear::new(s, 5)?))));
    check_bijection(&Subject::new("reversal", &|s| Ok(Box::new(Permutation::reverse(s, 5)?))));
    check_bijection(&Subject::new("random permutation", &|s| {
        Ok(Box::new(Permutation::random(s, 5)?))
    }));
    let unit = Support::Interval(0.0, 1.0);
    check_bijection(&Subject::new("Logit", &|_| Ok(Box::new(Logit::new(&[2, 3], 1e-3)?))).on(unit));
    check_bijection(&Subject::new("sigmoid", &|_| Ok(Box::new(Inverse(Logit::new(&[4], 1e-3)?)))));
    check_bijection(&Subject::new("Standardize", &|s| {
        let (shift, scale) =
            (Tensor::from_slice(&[1.0, -2.0, 0.5]), Tensor::from_slice(&[2.0, 0.3, -1.5]));
        Ok(Box::new(Standardize::new(s, &shift, &scale)?))
    }));
}

#[test]
fn couplings() {
    let plain = |layer: LayerConfig| move |s: &Scope<'_>| -> Built { layer.build(s, 5, None) };
    let conditional =
        |layer: LayerConfig| move |s: &Scope<'_>| -> Built { layer.build(s, 5, Some(2)) };
    let soft = Scale::default();
    let custom = Mask::Custom(vec![true, false, false, true, true]);
    check_bijection(&Subject::new("affine, odd", &plain(affine(Mask::Odd, soft))));
    check_bijection(&Subject::new("affine, even", &plain(affine(Mask::Even, soft))));
    check_bijection(
        &Subject::new("affine, upper", &plain(affine(Mask::Upper, Scale::Exp {})))
            .within(1e-8, 1e-3),
    );
    check_bijection(&Subject::new(
        "affine, lower",
        &plain(affine(Mask::Lower, Scale::Sigmoid { floor: 1e-3 })),
    ));
    check_bijection(&Subject::new(
        "affine, custom, context",
        &conditional(affine(custom.clone(), soft)),
    ));
    check_bijection(
        &Subject::new("spline, mlp", &plain(spline(Mask::Odd, mlp(), false))).within(1e-8, 2e-3),
    );
    check_bijection(
        &Subject::new("spline, residual", &plain(spline(Mask::Even, residual(), false)))
            .within(1e-8, 2e-3),
    );
    check_bijection(
        &Subject::new("spline, context", &conditional(spline(custom, residual(), false)))
            .within(1e-8, 2e-3),
    );
    let unit = Support::Interval(0.0, 1.0);
    check_bijection(
        &Subject::new("spline, bounded", &plain(spline(Mask::Upper, mlp(), true)))
            .on(unit)
            .within(1e-8, 2e-3),
    );
}

#[test]
fn a_wrong_layer_is_refused() {
    let store = || maxlik_nn::Params::new(1, tch::Kind::Double, tch::Device::Cpu);
    let message = |layer: LayerConfig, dims| {
        layer.build(&store().root(), dims, None).unwrap_err().to_string()
    };
    assert!(
        message(affine(Mask::Odd, Scale::Exp {}), 1)
            .starts_with("mask: Odd leaves nothing to change")
    );
    assert!(
        message(affine(Mask::Custom(vec![true]), Scale::Exp {}), 2)
            .contains("one mark for each of 2")
    );
    assert!(
        message(LayerConfig::Logit { margin: 0.7 }, 2)
            .starts_with("margin: expected a number between")
    );
    assert!(
        Permutation::new(&store().root(), &[0, 2, 2])
            .unwrap_err()
            .to_string()
            .contains("each of 0 to 2 once")
    );
    let (shift, scale) = (Tensor::from_slice(&[0.0, 0.0]), Tensor::from_slice(&[1.0, 0.0]));
    let error = Standardize::new(&store().root(), &shift, &scale).unwrap_err().to_string();
    assert_eq!(error, "standardisation with a scale of zero is not invertible");
}

#[test]
fn actnorm_takes_its_start_from_the_first_batch_only() {
    let params = maxlik_nn::Params::new(1, tch::Kind::Double, tch::Device::Cpu);
    let layer = ActNorm::new(&params.root(), &[3]).unwrap();
    let x = maxlik_testkit::normal(5, &[200, 3]) * 4.0 + 7.0;
    let z = layer.initialize(&x, None).unwrap();
    let (mean, std) =
        (z.mean_dim([0_i64].as_slice(), false, None), z.std_dim([0_i64].as_slice(), false, false));
    assert!(mean.abs().max().double_value(&[]) < 1e-12);
    assert!((std - 1.0).abs().max().double_value(&[]) < 1e-12);
    let _ = layer.initialize(&(&x * 9.0), None).unwrap();
    assert_eq!(maxlik_testkit::distance(&layer.forward(&x, None).unwrap().value, &z), 0.0);
    // The flag travels with the parameters, so that a loaded model does not start again.
    let other = maxlik_nn::Params::new(2, tch::Kind::Double, tch::Device::Cpu);
    let twin = ActNorm::new(&other.root(), &[3]).unwrap();
    other.load(&params.named()).unwrap();
    let _ = twin.initialize(&(&x * 9.0), None).unwrap();
    assert_eq!(maxlik_testkit::distance(&twin.forward(&x, None).unwrap().value, &z), 0.0);
}
