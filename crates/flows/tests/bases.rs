use maxlik_flows::base::{DiagonalNormal, NormalMixture, UniformBox};
use maxlik_model::Density;
use maxlik_nn::Params;
use maxlik_testkit::{Region, check_density, integral, normal};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn jitter(params: &Params) {
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * 0.3)).unwrap();
    }
}

#[test]
fn bases_are_densities() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let root = params.root();
    let standard = DiagonalNormal::standard(&root.sub("a"), &[2]);
    let trained = DiagonalNormal::trained(&root.sub("b"), &[2]).unwrap();
    let mixture = NormalMixture::new(&root.sub("c"), 2, 3).unwrap();
    let uniform = UniformBox::new(&root.sub("d"), &[2], -1.0, 2.0).unwrap();
    jitter(&params);
    for (name, base) in [
        ("standard", &standard as &dyn Density),
        ("trained", &trained),
        ("mixture", &mixture),
        ("uniform", &uniform),
    ] {
        check_density(name, base);
        let mass = integral(base, Region::Box(-8.0, 8.0), 320, None);
        assert!((mass - 1.0).abs() < 1e-3, "{name}: {mass}");
    }
    check_density("normal on images", &DiagonalNormal::standard(&root.sub("e"), &[1, 2, 2]));
}

#[test]
fn closed_forms() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let standard = DiagonalNormal::standard(&params.root(), &[3]);
    let at_zero = standard.log_prob(&Tensor::zeros([1, 3], DOUBLE_CPU), None).unwrap();
    let expected = -1.5 * (2.0 * std::f64::consts::PI).ln();
    assert!((at_zero.double_value(&[0]) - expected).abs() < 1e-12);
    let uniform = UniformBox::new(&params.root(), &[2], 0.0, 4.0).unwrap();
    let x = Tensor::from_slice(&[1.0, 1.0, 5.0, 1.0]).reshape([2, 2]);
    let log_prob = uniform.log_prob(&x, None).unwrap();
    assert!((log_prob.double_value(&[0]) + 2.0 * 4.0_f64.ln()).abs() < 1e-12);
    assert_eq!(log_prob.double_value(&[1]), f64::NEG_INFINITY);
    assert!(NormalMixture::new(&params.root(), 2, 0).is_err());
    assert!(UniformBox::new(&params.root(), &[2], 1.0, 1.0).is_err());
}
