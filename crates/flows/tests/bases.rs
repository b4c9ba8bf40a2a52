use maxlik_flows::BaseConfig;
use maxlik_flows::base::{
    DiagonalNormal, Family, LocationScale, NormalMixture, Resampled, TruncatedNormal, UniformBox,
};
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

/// A base from TOML on two numbers, with moved parameters.
fn from_toml(text: &str, context: Option<i64>) -> (Params, Box<dyn Density>) {
    let config: BaseConfig =
        toml::from_str(text).unwrap_or_else(|error| panic!("{text}: not a base: {error}"));
    let again: BaseConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config, "{text}: does not survive serialization");
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let base = config.build(&params.root(), 2, context).unwrap();
    jitter(&params);
    (params, base)
}

#[test]
fn each_base_is_a_density_and_integrates_to_one() {
    let network = "network = { kind = \"mlp\", hidden = [8] }";
    let angles = Region::Box(-std::f64::consts::PI, std::f64::consts::PI);
    let cube = Region::Box(-1.0, 3.0);
    for (text, conditional, region, points) in [
        ("kind = \"trained_normal\"", false, Region::Plane, 200),
        ("kind = \"mixture\"\ncomponents = 3", false, Region::Plane, 200),
        ("kind = \"location_scale\"", false, Region::Plane, 200),
        ("kind = \"location_scale\"\nfamily = \"logistic\"", false, Region::Plane, 200),
        ("kind = \"location_scale\"\nfamily = \"laplace\"", false, Region::Plane, 400),
        ("kind = \"location_scale\"\nfamily = \"student_t\"", false, Region::Plane, 200),
        ("kind = \"location_scale\"", true, Region::Plane, 200),
        ("kind = \"location_scale\"\nfamily = \"student_t\"", true, Region::Plane, 200),
        ("kind = \"full_normal\"", false, Region::Plane, 200),
        ("kind = \"full_normal\"", true, Region::Plane, 200),
        ("kind = \"von_mises\"", false, angles, 100),
        ("kind = \"von_mises\"", true, angles, 100),
        ("kind = \"truncated_normal\"\nlow = -1.0\nhigh = 3.0", false, cube, 100),
        ("kind = \"truncated_normal\"\nlow = -1.0\nhigh = 3.0", true, cube, 100),
        (
            "kind = \"product\"\nparts = [{ dims = 1, base = { kind = \"von_mises\" } }, { dims = 1, base = { kind = \"uniform\", low = -3.0, high = 3.0 } }]",
            false,
            angles,
            800,
        ),
        (
            "kind = \"mixture_of_flows\"\nflows = [{ layers = [{ kind = \"actnorm\" }] }, { layers = [{ kind = \"lu_linear\" }] }]",
            false,
            Region::Plane,
            200,
        ),
    ] {
        let text = if conditional { format!("{text}\n{network}") } else { text.to_owned() };
        let (_params, base) = from_toml(&text, conditional.then_some(3));
        check_density(&text, base.as_ref());
        let row = conditional.then(|| normal(8, &[1, 3]));
        let mass = integral(base.as_ref(), region, points, row.as_ref());
        assert!((mass - 1.0).abs() < 5e-3, "{text}: {mass}");
    }
}

/// Samples follow the density: the fraction within a box is its integral there, within five standard
/// errors.
#[test]
fn samples_follow_the_density() {
    for (text, region, points) in [
        ("kind = \"location_scale\"\nfamily = \"logistic\"", Region::Box(-1.0, 1.0), 100),
        ("kind = \"location_scale\"\nfamily = \"laplace\"", Region::Box(-1.0, 1.0), 400),
        ("kind = \"location_scale\"\nfamily = \"student_t\"", Region::Box(-1.0, 1.0), 100),
        ("kind = \"full_normal\"", Region::Box(-1.0, 1.0), 100),
        ("kind = \"von_mises\"", Region::Box(-1.0, 1.0), 100),
        ("kind = \"truncated_normal\"\nlow = -1.0\nhigh = 3.0", Region::Box(0.0, 1.0), 100),
        (
            "kind = \"mixture_of_flows\"\nflows = [{ layers = [{ kind = \"actnorm\" }] }, { layers = [{ kind = \"lu_linear\" }] }]",
            Region::Box(-1.0, 1.0),
            100,
        ),
    ] {
        let (_params, base) = from_toml(text, None);
        let Region::Box(low, high) = region else { panic!("a box") };
        let wanted = integral(base.as_ref(), region, points, None);
        let count = 20_000;
        let x = maxlik_tensor::with_seed(5, || base.sample(count, None).unwrap());
        let inside = x.ge(low).logical_and(&x.le(high)).all_dim(1, false);
        let part = inside.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        let error = (wanted * (1.0 - wanted) / count as f64).sqrt();
        assert!((part - wanted).abs() < 5.0 * error, "{text}: {part} against {wanted}");
    }
}

#[test]
fn a_resampled_base_is_a_density() {
    let text = "kind = \"resampled\"\ntruncation = 5\nnetwork = { kind = \"mlp\", hidden = [8] }";
    let (params, base) = from_toml(text, None);
    // Parameters have moved: the acceptance must matter.
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&normal(40 + i as u64, &tensor.size())).unwrap();
    }
    let x = normal(1, &[1, 2]);
    maxlik_tensor::with_seed(6, || base.initialize(&x, None)).unwrap();
    let mass = integral(base.as_ref(), Region::Plane, 200, None);
    assert!((mass - 1.0).abs() < 2e-2, "{mass}");
    check_density(text, base.as_ref());
    let wanted = integral(base.as_ref(), Region::Box(0.0, 2.0), 100, None);
    let plain = DiagonalNormal::standard(&Params::new(1, Kind::Double, Device::Cpu).root(), &[2]);
    let x = normal(9, &[100, 2]);
    let change = base.log_prob(&x, None).unwrap() - plain.log_prob(&x, None).unwrap();
    assert!(change.std(true).double_value(&[]) > 0.1, "the acceptance does not matter: {change}");
    let x = maxlik_tensor::with_seed(5, || base.sample(20_000, None).unwrap());
    let inside = x.ge(0.0).logical_and(&x.le(2.0)).all_dim(1, false);
    let part = inside.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    assert!((part - wanted).abs() < 2e-2, "{part} against {wanted}");
}

/// In training the normaliser follows the network, with a gradient.
#[test]
fn a_resampled_base_trains() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let root = params.root();
    let normal_base = Box::new(DiagonalNormal::standard(&root, &[2]));
    let network = maxlik_flows::NetworkConfig::default();
    let base = Resampled::new(&root, normal_base, &network, 10).unwrap();
    params.set_training(true);
    let normaliser = || {
        let named = params.named();
        named.into_iter().find(|(name, _)| name == "normaliser").unwrap().1.double_value(&[])
    };
    let before = normaliser();
    let x = normal(2, &[16, 2]);
    let log_prob = maxlik_tensor::with_seed(7, || base.log_prob(&x, None)).unwrap();
    log_prob.mean(Kind::Double).backward();
    assert!(
        params
            .trainable()
            .iter()
            .all(|(_, t)| t.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0)
    );
    assert!(normaliser() != before);
}

#[test]
fn closed_forms_of_the_families() {
    let at = |family, x: f64| {
        let params = Params::new(3, Kind::Double, Device::Cpu);
        let base = LocationScale::new(&params.root(), &[1], family, None, None).unwrap();
        let x = Tensor::from_slice(&[x]).reshape([1, 1]);
        base.log_prob(&x, None).unwrap().double_value(&[0])
    };
    let x = 0.7_f64;
    let logistic = (-x).exp() / (1.0 + (-x).exp()).powi(2);
    assert!((at(Family::Logistic, x) - logistic.ln()).abs() < 1e-12);
    assert!((at(Family::Laplace, x) - (0.5_f64.ln() - x)).abs() < 1e-12);
    assert!((at(Family::Normal, x) + 0.5 * x * x + 0.5 * std::f64::consts::TAU.ln()).abs() < 1e-12);
    // Far out Student's density falls as a power, of −(ν + 1) with ν = 1 + softplus(4).
    let nu = 1.0 + 4.0_f64.exp().ln_1p();
    let slope = (at(Family::StudentT, 1e6) - at(Family::StudentT, 1e5)) / 10.0_f64.ln();
    assert!((slope + nu + 1.0).abs() < 1e-6, "{slope}");
}

/// The truncated normal keeps its digits where the whole box is far in a tail.
#[test]
fn a_far_box_is_no_trouble() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let base = TruncatedNormal::new(&params.root(), &[2], (30.0, 31.0), None, None).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        let _ = params.trainable()[0].1.shallow_clone().zero_();
    }
    let mass = integral(&base, Region::Box(30.0, 31.0), 400, None);
    assert!((mass - 1.0).abs() < 1e-3, "{mass}");
    let x = base.sample(100, None).unwrap();
    assert!(x.min().double_value(&[]) >= 30.0 && x.max().double_value(&[]) < 30.6);
}

#[test]
fn wrong_bases_are_refused() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let message = |text: &str| {
        let config: BaseConfig = toml::from_str(text).unwrap();
        config.build(&params.root().sub(text.len()), 2, None).unwrap_err().to_string()
    };
    assert!(message("kind = \"product\"\nparts = []").starts_with("parts: expected"));
    let short = "kind = \"product\"\nparts = [{ dims = 1, base = { kind = \"normal\" } }]";
    assert_eq!(message(short), "parts: they hold [1] numbers, not 2");
    assert!(message("kind = \"mixture_of_flows\"\nflows = []").contains("at least one component"));
    assert!(message("kind = \"resampled\"\ntruncation = 0").contains("at least one attempt"));
    let empty = "kind = \"truncated_normal\"\nlow = 1.0\nhigh = 1.0";
    assert!(message(empty).starts_with("interval: expected low < high"));
    assert!(
        message("kind = \"von_mises\"\nnetwork = { kind = \"mlp\" }").contains("needs a context")
    );
}
