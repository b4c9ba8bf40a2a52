//! Log-probabilities and gradients of nflows' and zuko's flows with the same weights, to 1e-10.
//!
//! `golden/make.py` makes the files. Here is how the peers' parameters map to ours: hidden units of
//! masked networks are sorted by degree, the parameters of a coordinate stand side by side, and
//! nflows' spline couplings divide the softmax's inputs by the root of the network's width.

use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::univariate::{Affine, Scale, Spline, Univariate};
use maxlik_flows::{Autoregressive, Compose, Coupling, Flow, Mask, Order, Permutation, Solve};
use maxlik_model::{Bijection, Density};
use maxlik_nn::{
    MaskedMlp, MaskedNetwork, MaskedResidualNet, Mlp, MlpConfig, Params, ResidualConfig,
};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::spline::{Knots, RationalQuadratic, Tails};
use maxlik_testkit::distance;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

const DIMS: i64 = 5;
const HIDDEN: i64 = 10;
const BINS: i64 = 4;
const LAYERS: usize = 2;

/// Where one of our parameters comes from: rows and columns of the peer's, and a factor for each row.
#[derive(Debug)]
struct Source {
    theirs: String,
    rows: Option<Vec<i64>>,
    columns: Option<Vec<i64>>,
    scale: Option<Vec<f64>>,
}

impl Source {
    fn value(&self, golden: &BTreeMap<String, Tensor>, kind: &str) -> Tensor {
        let mut x = golden[&format!("{kind}/{}", self.theirs)].shallow_clone();
        if let Some(rows) = &self.rows {
            x = x.index_select(0, &Tensor::from_slice(rows));
        }
        if let (Some(columns), 2) = (&self.columns, x.dim()) {
            x = x.index_select(1, &Tensor::from_slice(columns));
        }
        if let Some(scale) = &self.scale {
            let mut shape = vec![1; x.dim()];
            shape[0] = -1;
            let scale = Tensor::from_slice(scale).view(shape.as_slice());
            // Ours is theirs times the factor, so that gradients carry its inverse.
            x = if kind == "p" { x * scale } else { x / scale };
        }
        x
    }
}

/// Our parameters of one layer, by name within it.
type Sources = Vec<(String, Source)>;

fn weights(ours: &str, source: impl Fn(&str) -> Source) -> Sources {
    ["weight", "bias"].iter().map(|part| (format!("{ours}.{part}"), source(part))).collect()
}

/// The peer's hidden units in the order of their degrees, which it deals out one after another.
fn sorted_units() -> Vec<i64> {
    let mut units: Vec<i64> = (0..HIDDEN).collect();
    units.sort_by_key(|unit| unit % (DIMS - 1));
    units
}

/// The layers of a network by the peer's names: `rows` orders the outputs, and hidden units are
/// sorted where the network is masked.
fn network(
    names: &[(&str, String)],
    rows: Option<&[i64]>,
    scale: Option<&[f64]>,
    masked: bool,
) -> Sources {
    let last = names.len() - 1;
    let units = masked.then(sorted_units);
    let layer = |i: usize, ours: &str, theirs: &str| {
        weights(ours, |part| Source {
            theirs: format!("{theirs}.{part}"),
            rows: if i == last { rows.map(<[i64]>::to_vec) } else { units.clone() },
            columns: if i == 0 { None } else { units.clone() },
            scale: if i == last { scale.map(<[f64]>::to_vec) } else { None },
        })
    };
    names.iter().enumerate().flat_map(|(i, (ours, theirs))| layer(i, ours, theirs)).collect()
}

fn mlp() -> MlpConfig {
    MlpConfig { hidden: vec![HIDDEN, HIDDEN], ..MlpConfig::default() }
}

fn affine(scale: Scale) -> Box<dyn Univariate> {
    Box::new(Affine { scale })
}

fn spline(bound: f64, knots: Knots) -> Box<dyn Univariate> {
    let shape = RationalQuadratic {
        bins: BINS as usize,
        interval: (-bound, bound),
        tails: Tails::Linear,
        knots,
    };
    Box::new(Spline { shape })
}

fn nflows_spline() -> Box<dyn Univariate> {
    let floor = 1e-3;
    spline(3.0, Knots::Softmax { min_width: floor, min_height: floor, min_derivative: floor })
}

fn zuko_spline() -> Box<dyn Univariate> {
    spline(5.0, Knots::SoftClip { slope: 1e-3 })
}

#[derive(Debug, Clone, Copy)]
enum Conditioner {
    Plain,
    Masked,
    MaskedResidual,
}

/// A flow under test.
struct Case {
    file: &'static str,
    conditioner: Conditioner,
    univariate: fn() -> Box<dyn Univariate>,
    /// nflows' autoregressive flows reverse the coordinates after each layer; zuko's take the
    /// reverse order in every second one.
    reversed_between: bool,
    sources: fn(usize) -> Sources,
}

fn build(case: &Case, params: &Params) -> (Flow, Vec<(String, Source)>) {
    let mut layers: Vec<Box<dyn Bijection>> = Vec::new();
    let mut sources = Vec::new();
    for i in 0..LAYERS {
        let scope = params.root().sub(i);
        let univariate = (case.univariate)();
        layers.push(match case.conditioner {
            Conditioner::Plain => {
                let net = |c: maxlik_flows::Conditioner| -> maxlik_tensor::Result<_> {
                    let net = Mlp::new(&scope, c.inputs, 0, c.outputs, &mlp())?;
                    Ok(Box::new(net) as Box<dyn maxlik_nn::Network>)
                };
                let mask = Mask::alternating(i);
                Box::new(Coupling::new(DIMS, &mask, univariate, None, net).unwrap())
            }
            Conditioner::Masked | Conditioner::MaskedResidual => {
                let order =
                    if case.reversed_between { Order::Forward } else { Order::alternating(i) };
                let net = |shape: &maxlik_nn::MaskedShape| -> maxlik_tensor::Result<_> {
                    Ok(if matches!(case.conditioner, Conditioner::Masked) {
                        Box::new(MaskedMlp::new(&scope, shape, &mlp())?) as Box<dyn MaskedNetwork>
                    } else {
                        let config = ResidualConfig {
                            hidden: HIDDEN,
                            blocks: 2,
                            ..ResidualConfig::default()
                        };
                        Box::new(MaskedResidualNet::new(&scope, shape, &config)?)
                    })
                };
                let solve = Solve::default();
                Box::new(Autoregressive::new(DIMS, &order, univariate, None, solve, net).unwrap())
            }
        });
        if case.reversed_between {
            let scope = params.root().sub(format!("reverse{i}"));
            layers.push(Box::new(Permutation::reverse(&scope, DIMS).unwrap()));
        }
        for (ours, source) in (case.sources)(i) {
            sources.push((format!("{i}.{ours}"), source));
        }
    }
    let base = Box::new(DiagonalNormal::standard(&params.root(), &[DIMS]));
    (Flow::new(Box::new(Compose::new(layers).unwrap()), base).unwrap(), sources)
}

fn check(case: &Case) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let file = format!("{folder}/{}.npz", case.file);
    let golden: BTreeMap<String, Tensor> = Tensor::read_npz(file).unwrap().into_iter().collect();
    let params = Params::new(1, Kind::Double, Device::Cpu);
    let (flow, sources) = build(case, &params);
    let named = params.trainable();
    assert_eq!(named.len(), sources.len(), "{}: number of parameters", case.file);
    let theirs = golden.keys().filter(|name| name.starts_with("p/")).count();
    assert_eq!(theirs, sources.len(), "{}: number of the peer's parameters", case.file);
    let sources: BTreeMap<String, Source> = sources.into_iter().collect();
    {
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in &named {
            let value = sources[name].value(&golden, "p");
            assert_eq!(tensor.size(), value.size(), "{}: {name}", case.file);
            tensor.shallow_clone().copy_(&value);
        }
    }
    let log_prob = flow.log_prob(&golden["x"], None).unwrap();
    let off = distance(&log_prob, &golden["log_prob"]);
    assert!(off < 1e-10, "{}: log-probabilities differ by {off:e}", case.file);
    let tensors: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    let loss = -log_prob.mean(None::<Kind>);
    let found = grad(&[&loss], &[None], &tensors, Graph::Free).unwrap();
    for ((name, _), ours) in named.iter().zip(found) {
        let expected = sources[name].value(&golden, "g");
        let off = distance(&ours.unwrap(), &expected);
        assert!(off < 1e-10, "{}: gradients of {name} differ by {off:e}", case.file);
    }
}

fn nflows_coupling(i: usize, rows: Option<&[i64]>, scale: Option<&[f64]>) -> Sources {
    let at = |name: &str| format!("_transform._transforms.{i}.transform_net.mlp.{name}");
    let names =
        [("0", at("_input_layer")), ("1", at("_hidden_layers.0")), ("2", at("_output_layer"))];
    network(&names, rows, scale, false)
}

/// nflows puts its reversals between the layers.
fn nflows_masked(i: usize, rows: Option<&[i64]>) -> Sources {
    let at = |name: &str| format!("_transform._transforms.{}.autoregressive_net.{name}", 2 * i);
    let names =
        [("0", at("initial_layer")), ("1", at("blocks.0.linear")), ("2", at("final_layer"))];
    network(&names, rows, None, true)
}

fn nflows_residual(i: usize, rows: Option<&[i64]>) -> Sources {
    let at = |name: &str| format!("_transform._transforms.{}.autoregressive_net.{name}", 2 * i);
    let names = [
        ("input", at("initial_layer")),
        ("block.0.first", at("blocks.0.linear_layers.0")),
        ("block.0.second", at("blocks.0.linear_layers.1")),
        ("block.1.first", at("blocks.1.linear_layers.0")),
        ("block.1.second", at("blocks.1.linear_layers.1")),
        ("output", at("final_layer")),
    ];
    network(&names, rows, None, true)
}

fn zuko(i: usize, masked: bool) -> Sources {
    let at = |name: &str| format!("transform.transforms.{i}.hyper.{name}");
    network(&[("0", at("0")), ("1", at("2")), ("2", at("4"))], None, None, masked)
}

/// nflows' affine couplings give all shifts and then all scales.
fn shifts_then_scales(i: usize) -> Vec<i64> {
    let changed = (DIMS + 1 - i64::from(i.is_multiple_of(2))) / 2;
    (0..changed).flat_map(|coordinate| [coordinate, changed + coordinate]).collect()
}

/// nflows' autoregressive layers give the scale before the shift.
fn scale_before_shift() -> Vec<i64> {
    (0..DIMS).flat_map(|coordinate| [2 * coordinate + 1, 2 * coordinate]).collect()
}

/// One over the root of the network's width for widths and heights, one for derivatives.
fn softmax_scales(i: usize) -> Vec<f64> {
    let changed = (DIMS + 1 - i64::from(i.is_multiple_of(2))) / 2;
    let one =
        (0..3 * BINS - 1).map(|p| if p < 2 * BINS { (HIDDEN as f64).sqrt().recip() } else { 1.0 });
    (0..changed).flat_map(|_| one.clone()).collect()
}

#[test]
fn nflows_couplings() {
    check(&Case {
        file: "nflows_realnvp",
        conditioner: Conditioner::Plain,
        univariate: || affine(Scale::Sigmoid { floor: 1e-3 }),
        reversed_between: false,
        sources: |i| nflows_coupling(i, Some(&shifts_then_scales(i)), None),
    });
    check(&Case {
        file: "nflows_nsf_coupling",
        conditioner: Conditioner::Plain,
        univariate: nflows_spline,
        reversed_between: false,
        sources: |i| nflows_coupling(i, None, Some(&softmax_scales(i))),
    });
}

#[test]
fn nflows_autoregressive() {
    check(&Case {
        file: "nflows_maf",
        conditioner: Conditioner::Masked,
        univariate: || affine(Scale::Softplus { floor: 1e-3 }),
        reversed_between: true,
        sources: |i| nflows_masked(i, Some(&scale_before_shift())),
    });
    check(&Case {
        file: "nflows_maf_residual",
        conditioner: Conditioner::MaskedResidual,
        univariate: || affine(Scale::Softplus { floor: 1e-3 }),
        reversed_between: true,
        sources: |i| nflows_residual(i, Some(&scale_before_shift())),
    });
    check(&Case {
        file: "nflows_nsf_autoregressive",
        conditioner: Conditioner::Masked,
        univariate: nflows_spline,
        reversed_between: true,
        sources: |i| nflows_masked(i, None),
    });
}

#[test]
fn zuko_flows() {
    let soft = || affine(Scale::SoftClip { slope: 1e-3 });
    for (file, conditioner, univariate) in [
        ("zuko_realnvp", Conditioner::Plain, soft as fn() -> Box<dyn Univariate>),
        ("zuko_nsf_coupling", Conditioner::Plain, zuko_spline),
        ("zuko_maf", Conditioner::Masked, soft),
        ("zuko_nsf_autoregressive", Conditioner::Masked, zuko_spline),
    ] {
        let sources: fn(usize) -> Sources = match conditioner {
            Conditioner::Plain => |i| zuko(i, false),
            _ => |i| zuko(i, true),
        };
        check(&Case { file, conditioner, univariate, reversed_between: false, sources });
    }
}
