//! Path gradients of the paper's own code on affine couplings, and by their definition on nflows'
//! spline couplings, with the same weights (`golden/path.py` makes the files).

use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::univariate::{Affine, Scale, Univariate};
use maxlik_flows::{Compose, Coupling, Flow, Inverse, Mask, SplineConfig};
use maxlik_model::{Batch, Bijection, Objective, PathDensity};
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::density::{Estimator, ForwardKl, ReverseKl};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_testkit::distance;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

const DIMS: i64 = 4;

fn build(params: &Params, layers: usize, affine: bool) -> Flow {
    let mlp = MlpConfig { hidden: vec![6, 6], activation: Activation::Tanh, dropout: 0.0 };
    let layer = |i: usize| -> Box<dyn Bijection> {
        let scope = params.root().sub(i);
        let net = |c: maxlik_flows::Conditioner| -> maxlik_tensor::Result<Box<dyn Network>> {
            Ok(Box::new(Mlp::new(&scope, c.inputs, 0, c.outputs, &mlp)?))
        };
        let univariate: Box<dyn Univariate> = if affine {
            Box::new(Affine { scale: Scale::Exp {} })
        } else {
            let spline = SplineConfig { bins: 4, low: -3.0, high: 3.0, bounded: false };
            Box::new(spline.spline().unwrap())
        };
        let coupling = Coupling::new(DIMS, &Mask::alternating(i), univariate, None, net).unwrap();
        // Their affine couplings shift and scale from latent to data.
        if affine { Box::new(Inverse(coupling)) } else { Box::new(coupling) }
    };
    let layers = (0..layers).map(layer).collect();
    let base = Box::new(DiagonalNormal::standard(&params.root(), &[DIMS]));
    Flow::new(Box::new(Compose::new(layers).unwrap()), base).unwrap()
}

#[track_caller]
fn check(file: &str, layers: usize, affine: bool) {
    let path = format!("{}/tests/golden/{file}.npz", env!("CARGO_MANIFEST_DIR"));
    let golden: BTreeMap<String, Tensor> = Tensor::read_npz(path).unwrap().into_iter().collect();
    let params = Params::new(1, Kind::Double, Device::Cpu);
    let flow = build(&params, layers, affine);
    let named = params.trainable();
    assert_eq!(named.len(), golden.keys().filter(|name| name.starts_with("p/")).count());
    {
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in &named {
            let value = &golden[&format!("p/{name}")];
            assert_eq!(tensor.size(), value.size(), "{file}: {name}");
            tensor.shallow_clone().copy_(value);
        }
    }
    let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
    let target = || Box::new(NormalMixture::hypercube(DIMS, 0.5).unwrap());
    for estimator in [Estimator::Path, Estimator::FastPath] {
        let reverse = ReverseKl::new(target(), estimator);
        let reverse = reverse.loss_at(&flow, &golden["z"], None).unwrap().value;
        let batch = Batch::new(golden["x"].shallow_clone());
        let forward = ForwardKl::new(target(), estimator);
        let forward = forward.loss(&flow as &dyn PathDensity, &batch).unwrap().value;
        for (name, loss) in [("reverse", reverse), ("forward", forward)] {
            let off = distance(&loss.view([1]), &golden[&format!("{name}/value")]);
            assert!(off < 1e-10, "{file}, {name}: values differ by {off:e}");
            let found = grad(&[&loss], &[None], &leaves, Graph::Free).unwrap();
            for ((parameter, _), ours) in named.iter().zip(found) {
                let theirs = &golden[&format!("{name}/{parameter}")];
                let off = distance(&ours.unwrap(), theirs);
                assert!(off < 1e-10, "{file}, {name}, {estimator:?}: {parameter} off by {off:e}");
            }
        }
    }
}

#[test]
fn affine_couplings_pull_as_in_the_papers_code() {
    check("realnvp_path", 4, true);
}

#[test]
fn spline_couplings_pull_as_by_definition() {
    check("spline_path", 2, false);
}
