use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::{
    BaseConfig, Compose, Flow, FlowConfig, LayerConfig, LuLinear, NetworkConfig, SplineConfig,
};
use maxlik_model::Bijection;
use maxlik_nn::{MlpConfig, Params};
use maxlik_testkit::{Region, Subject, check_bijection, check_density, integral, normal};
use tch::{Device, Kind};

fn small() -> NetworkConfig {
    NetworkConfig::Mlp(MlpConfig { hidden: vec![12], ..MlpConfig::default() })
}

fn flow(config: &FlowConfig, context: Option<i64>, jitter: f64) -> Flow {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let flow = config.build(&params.root(), 2, context, Vec::new()).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * jitter)).unwrap();
    }
    flow
}

#[test]
fn stacks_are_bijections() {
    check_bijection(
        &Subject::new("compose", &|s| {
            let config = FlowConfig::spline_coupling(3, &small(), SplineConfig::default());
            let layers = config.layers.iter().enumerate();
            let layers = layers.map(|(i, layer)| layer.build(&s.sub(i), 4, Some(2)));
            Ok(Box::new(Compose::new(layers.collect::<Result<_, _>>()?)?))
        })
        .within(1e-7, 2e-3)
        .jittered(0.1),
    );
}

#[test]
fn flows_integrate_to_one() {
    let spline = SplineConfig { bins: 6, low: -3.0, high: 3.0, bounded: false };
    let mut mixture = FlowConfig::realnvp(3, &small());
    mixture.base = BaseConfig::Mixture { components: 3 };
    let table = [
        ("realnvp", FlowConfig::realnvp(4, &small()), None),
        ("conditional realnvp", FlowConfig::realnvp(3, &small()), Some(2)),
        ("spline coupling", FlowConfig::spline_coupling(3, &small(), spline), None),
        ("mixture base", mixture, None),
    ];
    for (name, config, context) in table {
        let flow = flow(&config, context, 0.15);
        check_density(name, &flow);
        let row = context.map(|size| normal(8, &[1, size]));
        let mass = integral(&flow, Region::Plane, 400, row.as_ref());
        assert!((mass - 1.0).abs() < 5e-3, "{name}: {mass}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let params = Params::new(3, Kind::Double, Device::Cpu);
    let lu = |name: &str, dims| -> Box<dyn Bijection> {
        Box::new(LuLinear::new(&params.root().sub(name), dims).unwrap())
    };
    let message = Compose::new(vec![lu("a", 2), lu("b", 3)]).unwrap_err().to_string();
    assert_eq!(message, "layers: layer 0 gives [2], layer 1 takes [3]");
    let base = Box::new(DiagonalNormal::standard(&params.root(), &[3]));
    let message = Flow::new(lu("c", 2), base).unwrap_err().to_string();
    assert_eq!(message, "base: the layers give [2], the base takes [3]");
    let config = FlowConfig {
        layers: vec![LayerConfig::Actnorm {}, LayerConfig::Logit { margin: 2.0 }],
        base: BaseConfig::Normal {},
    };
    let message = config.build(&params.root(), 2, None, Vec::new()).unwrap_err().to_string();
    assert!(message.starts_with("layers.1.margin: expected"), "{message}");
}

#[test]
fn a_stack_comes_from_toml() {
    let text = r#"
        layers = [
            { kind = "actnorm" },
            { kind = "spline_coupling", mask = "odd", network = { kind = "mlp", hidden = [8] }, spline = { bins = 4 } },
            { kind = "affine_coupling", mask = { custom = [true, false] }, scale = { kind = "exp" } },
        ]
        base = { kind = "mixture", components = 2 }
    "#;
    let config: FlowConfig = toml::from_str(text).unwrap();
    check_density("from TOML", &flow(&config, None, 0.1));
    let again: FlowConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    assert!(toml::from_str::<FlowConfig>("layers = [{ kind = \"actnorm\", x = 1 }]").is_err());
}
