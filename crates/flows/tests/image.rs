use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::image::{Centre, GlowConfig, Squeeze2d};
use maxlik_flows::linear::{Pointwise, PointwiseBy};
use maxlik_flows::univariate::{Affine, Scale, Univariate};
use maxlik_flows::{FieldCoupling, FieldMask, Flow, FlowConfig, Level, Multiscale, SplineConfig};
use maxlik_model::{Bijection, Density};
use maxlik_nn::{ConvNet, ConvNetConfig, Params, Scope};
use maxlik_tensor::Result;
use maxlik_testkit::{Subject, Support, check_bijection, check_density, distance, normal};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn network() -> ConvNetConfig {
    ConvNetConfig { hidden: 6, ..ConvNetConfig::default() }
}

fn coupling(
    scope: &Scope<'_>,
    shape: &[i64],
    mask: FieldMask,
    univariate: Box<dyn Univariate>,
    context: Option<i64>,
) -> Result<FieldCoupling> {
    let given = context.map(|size| [size]);
    let given = given.as_ref().map(<[i64; 1]>::as_slice);
    FieldCoupling::new(shape, mask, univariate, given, scope.device(), |at| {
        let size = context.unwrap_or(0);
        Ok(Box::new(ConvNet::new(scope, at.inputs, size, at.outputs, &network())?))
    })
}

fn affine() -> Box<dyn Univariate> {
    Box::new(Affine::default())
}

fn jitter(params: &Params, std: f64) {
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * std)).unwrap();
    }
}

#[test]
fn layers_on_images_are_bijections() {
    check_bijection(&Subject::new("Squeeze2d", &|_| Ok(Box::new(Squeeze2d::new([2, 4, 2])?))));
    check_bijection(
        &Subject::new("Centre", &|_| Ok(Box::new(Centre::new(&[1, 2, 3]))))
            .on(Support::Interval(0.0, 1.0)),
    );
}

#[test]
fn couplings_on_images_are_bijections() {
    let spline = SplineConfig { bins: 4, low: -2.0, high: 2.0, bounded: false };
    for (name, mask) in [
        ("upper channels", FieldMask::UpperChannels),
        ("lower channels", FieldMask::LowerChannels),
        ("odd places", FieldMask::OddPlaces),
        ("even places", FieldMask::EvenPlaces),
    ] {
        for context in [None, Some(2)] {
            check_bijection(&Subject::new(name, &|s| {
                Ok(Box::new(coupling(s, &[3, 2, 3], mask, affine(), context)?))
            }));
        }
        check_bijection(
            &Subject::new(name, &|s| {
                let univariate = Box::new(spline.spline()?);
                Ok(Box::new(coupling(s, &[2, 3, 2], mask, univariate, None)?))
            })
            .within(1e-8, 2e-3)
            .jittered(0.15),
        );
    }
}

#[test]
fn glow_is_a_bijection_and_its_density_one_of_samples() {
    for (name, config) in [
        ("Glow", GlowConfig { levels: 2, steps: 2, network: network(), ..GlowConfig::default() }),
        (
            "Glow without learned prior",
            GlowConfig {
                levels: 2,
                steps: 1,
                network: network(),
                conv: PointwiseBy::Qr,
                learned_prior: false,
                ..GlowConfig::default()
            },
        ),
    ] {
        check_bijection(
            &Subject::new(name, &|s| Ok(Box::new(config.build(s, [1, 4, 4], Some(3))?)))
                .within(1e-8, 1e-3)
                .jittered(0.1),
        );
        let params = Params::new(3, Kind::Double, Device::Cpu);
        let root = params.root();
        let glow = config.build(&root.sub("glow"), [1, 4, 4], Some(3)).unwrap();
        jitter(&params, 0.1);
        let base = DiagonalNormal::standard(&root, &[16]);
        check_density(name, &Flow::new(Box::new(glow), Box::new(base)).unwrap());
    }
}

#[test]
fn masks_change_what_they_say() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let x = normal(1, &[1, 2, 2, 3]);
    for (i, (mask, expected)) in [
        (FieldMask::UpperChannels, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]),
        (FieldMask::LowerChannels, [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]),
        (FieldMask::OddPlaces, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
        (FieldMask::EvenPlaces, [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]),
    ]
    .into_iter()
    .enumerate()
    {
        let scope = params.root().sub(i);
        let layer = coupling(&scope, &[2, 2, 3], mask, affine(), None).unwrap();
        jitter(&params, 0.3);
        let moved = (layer.forward(&x, None).unwrap().value - &x).abs().reshape([-1]);
        for (place, changes) in expected.into_iter().enumerate() {
            let by = moved.double_value(&[place as i64]);
            assert_eq!(by > 0.0, changes == 1, "{mask:?} at {place}");
        }
    }
    let message = |shape: &[i64], mask| {
        let scope = params.root().sub("refused");
        coupling(&scope, shape, mask, affine(), None).unwrap_err().to_string()
    };
    assert_eq!(
        message(&[1, 4, 4], FieldMask::UpperChannels),
        "mask: UpperChannels leaves nothing to change or nothing to keep of [1, 4, 4]"
    );
    assert!(message(&[2, 1, 1], FieldMask::OddPlaces).contains("one colour only"));
}

#[test]
fn squeezing_takes_pixels_of_a_square_together() {
    let image = Tensor::arange(16, DOUBLE_CPU).reshape([1, 1, 4, 4]);
    let squeezed = Squeeze2d::new([1, 4, 4]).unwrap().forward(&image, None).unwrap().value;
    let corner = squeezed.get(0).select(1, 0).select(1, 0);
    assert_eq!(distance(&corner, &Tensor::from_slice(&[0.0, 1.0, 4.0, 5.0])), 0.0);
    let error = Squeeze2d::new([1, 3, 4]).unwrap_err().to_string();
    assert_eq!(error, "squeeze: expected even sides, got 3×4");
}

/// The split's prior is a normal whose mean and scale the half that goes on decides: the density is
/// the product of both halves' densities.
#[test]
fn a_split_is_the_product_of_its_conditional_densities() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let root = params.root();
    let shape = [2, 2, 2];
    let exp = || Box::new(Affine { scale: Scale::Exp {} });
    let mix = |name: &str, shape: &[i64]| {
        Box::new(Pointwise::convolution(&root.sub(name), shape, PointwiseBy::Lu).unwrap())
    };
    let prior = |name: &str| {
        Box::new(coupling(&root.sub(name), &shape, FieldMask::UpperChannels, exp(), None).unwrap())
    };
    let flow = Multiscale::new(vec![
        Level { steps: mix("a", &shape), prior: Some(prior("prior")) },
        Level { steps: mix("b", &[1, 2, 2]), prior: None },
    ])
    .unwrap();
    jitter(&params, 0.2);
    // The same parameters under the same names, apart.
    let others = Params::new(4, Kind::Double, Device::Cpu);
    let root = others.root();
    let first = Pointwise::convolution(&root.sub("a"), &shape, PointwiseBy::Lu).unwrap();
    let second = Pointwise::convolution(&root.sub("b"), &[1, 2, 2], PointwiseBy::Lu).unwrap();
    let scope = root.sub("prior");
    let net = ConvNet::new(&scope, 1, 0, 2, &network()).unwrap();
    others.load(&params.named()).unwrap();
    let x = normal(9, &[5, 2, 2, 2]);
    let base = DiagonalNormal::standard(&params.root(), &[8]);
    let density = Flow::new(Box::new(flow), Box::new(base)).unwrap();
    let found = density.log_prob(&x, None).unwrap();

    let one = first.forward(&x, None).unwrap();
    let (h, left) = (one.value.narrow(1, 0, 1), one.value.narrow(1, 1, 1));
    let raw = maxlik_nn::Network::forward(&net, &h, None).unwrap();
    // z = left · eᵃ + b is standard normal: left has the mean −b e⁻ᵃ and the scale e⁻ᵃ.
    let (b, a) = (raw.narrow(1, 0, 1), raw.narrow(1, 1, 1));
    let (mean, log_std) = (-&b * (-&a).exp(), -&a);
    let half_ln_tau = 0.5 * (2.0 * std::f64::consts::PI).ln();
    let sum =
        |t: Tensor| t.reshape([5, -1]).sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
    let conditional =
        ((&left - &mean) * (-&log_std).exp()).square() * -0.5 - &log_std - half_ln_tau;
    let two = second.forward(&h, None).unwrap();
    let rest = two.value.square() * -0.5 - half_ln_tau;
    let expected = sum(conditional) + sum(rest) + one.log_det + two.log_det;
    assert!(distance(&found, &expected) < 1e-10);
}

#[test]
fn levels_that_do_not_fit_are_refused() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let root = params.root();
    let mix = |name: &str, shape: &[i64]| -> Box<dyn Bijection> {
        Box::new(Pointwise::convolution(&root.sub(name), shape, PointwiseBy::Lu).unwrap())
    };
    let message = |levels: Vec<Level>| Multiscale::new(levels).unwrap_err().to_string();
    assert_eq!(message(vec![]), "levels: expected at least one level");
    let level = |steps| Level { steps, prior: None };
    assert_eq!(
        message(vec![level(mix("a", &[2, 2])), level(mix("b", &[2, 2]))]),
        "levels.1: takes [2, 2], gets [1, 2]"
    );
    assert_eq!(
        message(vec![level(mix("c", &[3, 2])), level(mix("d", &[1, 2]))]),
        "levels.0: 3 channels cannot be halved"
    );
    let none = GlowConfig { steps: 0, ..GlowConfig::default() };
    let error = none.build(&root.sub("e"), [1, 4, 4], None).unwrap_err().to_string();
    assert_eq!(error, "steps: expected at least one step");
}

#[test]
fn image_flows_come_from_toml() {
    for text in [
        "layers = [{ kind = \"centre\" }, { kind = \"glow\", image = [1, 4, 4], glow = { levels = 2, steps = 1, network = { hidden = 4 } } }]",
        "layers = [{ kind = \"tarflow\", image = [1, 4, 4], patch = 2, tarflow = { layers = [1, 1], block = { transformer = { width = 8, heads = 2 } } } }]",
    ] {
        let config: FlowConfig = toml::from_str(text).unwrap();
        let params = Params::new(3, Kind::Double, Device::Cpu);
        let flow = config.build(&params.root(), 16, Some(2), Vec::new()).unwrap();
        check_density("from TOML", &flow);
        let wrong = config.build(&params.root().sub("x"), 15, None, Vec::new()).unwrap_err();
        assert!(wrong.to_string().contains("different amounts of numbers"), "{wrong}");
        let again: FlowConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }
}
