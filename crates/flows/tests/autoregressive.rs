//! Autoregressive layers: the checker's table, the ways to invert, and stacks.

use maxlik_flows::elementwise::Ends;
use maxlik_flows::univariate::Scale;
use maxlik_flows::{
    FlowConfig, LayerConfig, Mask, NetworkConfig, Order, Solve, SplineConfig, UnivariateConfig,
};
use maxlik_model::Bijection;
use maxlik_nn::{Activation, MlpConfig, Params, ResidualConfig, Scope};
use maxlik_tensor::Result;
use maxlik_testkit::{Region, Subject, check_bijection, check_density, distance, integral, normal};
use tch::{Device, Kind, Tensor};

type Built = Result<Box<dyn Bijection>>;

fn mlp() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { hidden: vec![16, 16], ..MlpConfig::default() })
}

fn residual() -> NetworkConfig {
    NetworkConfig::Residual(ResidualConfig { hidden: 16, blocks: 2, ..ResidualConfig::default() })
}

fn affine(scale: Scale) -> UnivariateConfig {
    UnivariateConfig::Affine { scale }
}

fn spline() -> UnivariateConfig {
    UnivariateConfig::RationalQuadratic { bins: 5, low: -2.0, high: 2.0, ends: Ends::Linear }
}

fn layer(order: Order, network: NetworkConfig, map: UnivariateConfig) -> LayerConfig {
    LayerConfig::Autoregressive { order, network, map, solve: Solve::default() }
}

fn plain(layer: LayerConfig) -> impl Fn(&Scope<'_>) -> Built {
    move |s| layer.build(s, 5, None)
}

fn conditional(layer: LayerConfig) -> impl Fn(&Scope<'_>) -> Built {
    move |s| layer.build(s, 5, Some(2))
}

#[test]
fn layers_are_bijections() {
    let mixed = Order::Ranks(vec![3, 0, 4, 1, 2]);
    let soft = affine(Scale::default());
    let check = |name: &str, build: &dyn Fn(&Scope<'_>) -> Built| {
        check_bijection(&Subject::new(name, build).within(1e-8, 2e-3).jittered(0.2));
    };
    check("MAF", &plain(layer(Order::Forward, mlp(), soft)));
    check(
        "MAF, reverse",
        &plain(layer(Order::Reverse, mlp(), affine(Scale::Softplus { floor: 1e-3 }))),
    );
    check("MAF, context", &conditional(layer(mixed.clone(), mlp(), soft)));
    check(
        "MAF, residual",
        &conditional(layer(mixed.clone(), residual(), affine(Scale::Sigmoid { floor: 1e-3 }))),
    );
    check("NSF-AR", &plain(layer(Order::Reverse, mlp(), spline())));
    check("NSF-AR, context", &conditional(layer(mixed.clone(), mlp(), spline())));
    let turned = LayerConfig::Inverse { layer: Box::new(layer(mixed, mlp(), soft)) };
    check("IAF, context", &conditional(turned));
}

#[test]
fn every_univariate_map_fits_in() {
    let maps = [
        ("additive", UnivariateConfig::Additive {}),
        ("logistic mixture", UnivariateConfig::LogisticMixture { components: 3 }),
        ("NAF", UnivariateConfig::DeepSigmoidal { units: 4, layers: 2 }),
        ("Bernstein", UnivariateConfig::Bernstein { degree: 6, bound: 3.0 }),
        ("SOS", UnivariateConfig::SumOfSquares { squares: 2, degree: 2 }),
        ("UMNN", UnivariateConfig::Monotonic { units: 4, nodes: 48 }),
    ];
    for (name, map) in maps {
        let order = Order::Ranks(vec![2, 0, 1]);
        let auto = layer(order, mlp(), map);
        let build = |s: &Scope<'_>| auto.build(s, 3, Some(2));
        // The slopes span several orders of magnitude: single precision keeps fewer digits.
        let subject = Subject::new(name, &build).within(1e-7, 2e-2).jittered(0.1);
        check_bijection(&subject);
        let coupling = LayerConfig::Coupling { mask: Mask::Upper, map, network: mlp() };
        let build = |s: &Scope<'_>| coupling.build(s, 3, None);
        let subject = Subject::new(name, &build).within(1e-7, 2e-2).jittered(0.1);
        check_bijection(&subject);
    }
}

#[test]
fn block_flows_are_bijections() {
    let block = |order, hidden, layers| LayerConfig::BlockAutoregressive { order, hidden, layers };
    let (plain_block, with_context) =
        (block(Order::Reverse, 3, 1), block(Order::Ranks(vec![2, 0, 1]), 4, 2));
    let build = |s: &Scope<'_>| plain_block.build(s, 3, None);
    check_bijection(&Subject::new("BNAF", &build).within(1e-8, 1e-2));
    let build = |s: &Scope<'_>| with_context.build(s, 3, Some(2));
    check_bijection(&Subject::new("BNAF, context", &build).within(1e-8, 1e-2));
    let params = Params::new(4, Kind::Double, Device::Cpu);
    let message =
        |layer: LayerConfig| layer.build(&params.root(), 2, None).unwrap_err().to_string();
    assert!(message(block(Order::Forward, 0, 1)).starts_with("hidden: expected at least one unit"));
    assert!(message(block(Order::Forward, 2, 0)).starts_with("layers: expected"));
}

#[test]
fn maps_start_as_their_documentation_says() {
    let x = normal(5, &[9, 1]) * 2.0;
    for map in [
        UnivariateConfig::Additive {},
        UnivariateConfig::Bernstein { degree: 7, bound: 3.0 },
        UnivariateConfig::SumOfSquares { squares: 3, degree: 2 },
        UnivariateConfig::Monotonic { units: 3, nodes: 8 },
    ] {
        let map = map.build().unwrap();
        let zero = Tensor::zeros([9, 1, map.parameters()], (Kind::Double, Device::Cpu));
        let there = map.forward(&x, &zero).unwrap();
        assert!(distance(&there.value, &x) < 1e-12, "{map:?}");
        assert!(there.log_det.abs().max().double_value(&[]) < 1e-12, "{map:?}");
    }
    let message = |map: UnivariateConfig| map.build().unwrap_err().to_string();
    assert!(
        message(UnivariateConfig::Bernstein { degree: 0, bound: 1.0 })
            .starts_with("degree: expected 1 to 64")
    );
    assert!(
        message(UnivariateConfig::Bernstein { degree: 3, bound: -1.0 })
            .starts_with("bound: expected")
    );
    assert!(
        message(UnivariateConfig::SumOfSquares { squares: 0, degree: 3 }).starts_with("squares")
    );
    assert!(
        message(UnivariateConfig::Monotonic { units: 2, nodes: 1 }).starts_with("nodes: expected")
    );
    assert!(message(UnivariateConfig::DeepSigmoidal { units: 2, layers: 0 }).starts_with("layers"));
}

#[test]
fn all_ways_to_invert_agree() {
    for context in [None, Some(3)] {
        for network in [mlp(), residual()] {
            for univariate in [affine(Scale::default()), spline()] {
                let solved = |solve: Solve| {
                    let params = Params::new(4, Kind::Double, Device::Cpu);
                    let config = LayerConfig::Autoregressive {
                        order: Order::Ranks(vec![3, 0, 4, 1, 6, 2, 5]),
                        network: network.clone(),
                        map: univariate,
                        solve,
                    };
                    config.build(&params.root(), 7, context).unwrap()
                };
                let z = normal(3, &[33, 7]);
                let c = context.map(|size| normal(4, &[33, size]));
                let steps = solved(Solve::Steps {});
                let recorded = steps.inverse(&z, c.as_ref()).unwrap();
                let unrecorded = tch::no_grad(|| steps.inverse(&z, c.as_ref()).unwrap());
                assert!(recorded.value.requires_grad() && !unrecorded.value.requires_grad());
                for other in [
                    unrecorded,
                    solved(Solve::Passes {}).inverse(&z, c.as_ref()).unwrap(),
                    solved(Solve::Jacobi { tolerance: 0.0 }).inverse(&z, c.as_ref()).unwrap(),
                ] {
                    assert!(distance(&recorded.value, &other.value) < 1e-11);
                    assert!(distance(&recorded.log_det, &other.log_det) < 1e-10);
                }
                let loose =
                    solved(Solve::Jacobi { tolerance: 1e-3 }).inverse(&z, c.as_ref()).unwrap();
                assert!(distance(&recorded.value, &loose.value) < 0.1);
            }
        }
    }
}

#[test]
fn stacks_integrate_to_one() {
    let net = NetworkConfig::Mlp(MlpConfig {
        hidden: vec![12, 12],
        activation: Activation::Silu,
        dropout: 0.0,
    });
    let spline = SplineConfig { bins: 6, low: -3.0, high: 3.0, bounded: false };
    let maf = FlowConfig::maf(3, &net);
    let iaf = FlowConfig {
        layers: maf
            .layers
            .iter()
            .map(|l| LayerConfig::Inverse { layer: Box::new(l.clone()) })
            .collect(),
        ..maf.clone()
    };
    for (name, config, context) in [
        ("MAF", maf.clone(), None),
        ("conditional MAF", maf, Some(2)),
        ("IAF", iaf, None),
        ("NSF-AR", FlowConfig::spline_autoregressive(2, &net, spline), None),
    ] {
        let params = Params::new(3, Kind::Double, Device::Cpu);
        let flow = config.build(&params.root(), 2, context, Vec::new()).unwrap();
        check_density(name, &flow);
        let row = context.map(|size| normal(8, &[1, size]));
        let mass = tch::no_grad(|| integral(&flow, Region::Plane, 400, row.as_ref()));
        assert!((mass - 1.0).abs() < 5e-3, "{name}: {mass}");
    }
}

#[test]
fn a_wrong_layer_is_refused() {
    let message = |config: &LayerConfig, dims| {
        let params = Params::new(4, Kind::Double, Device::Cpu);
        config.build(&params.root(), dims, None).unwrap_err().to_string()
    };
    let ranks = |ranks: &[i64]| layer(Order::Ranks(ranks.to_vec()), mlp(), spline());
    assert_eq!(
        message(&ranks(&[0, 1]), 3),
        "order: expected one rank for each of 3 coordinates, got 2"
    );
    assert_eq!(message(&ranks(&[0, 2]), 2), "order: expected each of 0 to 1 once, got [0, 2]");
    let solve = Solve::Jacobi { tolerance: -1.0 };
    let config =
        LayerConfig::Autoregressive { order: Order::Forward, network: mlp(), map: spline(), solve };
    assert!(message(&config, 2).starts_with("tolerance: expected"));
    let text = r#"layers = [{ kind = "autoregressive", order = "reverse", map = { kind = "rational_quadratic", bins = 4, low = -3.0, high = 3.0 }, solve = { kind = "passes" } },
        { kind = "inverse", layer = { kind = "autoregressive", order = { ranks = [1, 0] }, map = { kind = "affine" } } }]"#;
    let config: FlowConfig = toml::from_str(text).unwrap();
    let again: FlowConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    assert!(toml::from_str::<FlowConfig>(&text.replace("passes\"", "passes\", x = 1")).is_err());
}
