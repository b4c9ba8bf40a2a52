//! Paths, velocities and plans of torchcfm and POT (`golden/cfm.py` made the numbers).

use maxlik_objectives::transport::{Coupling, Path};
use maxlik_tensor::host;
use maxlik_testkit::distance;
use serde_json::Value;
use tch::Tensor;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/cfm.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

fn matrix(value: &Value) -> Tensor {
    let rows = value.as_array().unwrap().len() as i64;
    Tensor::from_slice(&numbers(value)).view([rows, -1])
}

#[test]
fn paths_are_those_of_torchcfm() {
    let golden = golden();
    let (x0, x1, eps) = (matrix(&golden["x0"]), matrix(&golden["x1"]), matrix(&golden["eps"]));
    let t = Tensor::from_slice(&numbers(&golden["t"]));
    let sigma = golden["sigma"].as_f64().unwrap();
    for (name, path) in [
        ("straight", Path::Straight { sigma }),
        ("target", Path::Target { sigma }),
        ("variance_preserving", Path::VariancePreserving { sigma }),
        ("bridge", Path::Bridge { sigma }),
    ] {
        let point = path.at(&t, &x0, &x1, &eps).unwrap();
        let wanted = &golden["paths"][name];
        assert!(distance(&point.x, &matrix(&wanted["x"])) < 1e-12, "{name}");
        // The bridge of torchcfm adds 1e-8 to a denominator.
        assert!(distance(&point.velocity, &matrix(&wanted["velocity"])) < 1e-6, "{name}");
    }
}

#[test]
fn plans_are_those_of_pot() {
    let golden = golden();
    let (source, data) = (matrix(&golden["a"]), matrix(&golden["b"]));
    let found = Coupling::Optimal {}.pair(&source, &data, None).unwrap();
    let exact = matrix(&golden["exact"]);
    for (target, partner) in host::to_vec(&found).unwrap().into_iter().enumerate() {
        let mass = exact.double_value(&[partner as i64, target as i64]);
        assert!((mass - 1.0 / 6.0).abs() < 1e-12);
    }
    // Each row's partner by the inverse of the plan's conditional distribution.
    let plan = matrix(&golden["sinkhorn"]);
    let entropic = Coupling::Entropic { epsilon: 0.5 };
    for k in 0..50 {
        let u = (f64::from(k) + 0.5) / 50.0;
        let uniform = Tensor::full([6], u, tch::kind::DOUBLE_CPU);
        let found =
            host::to_vec(&entropic.pair_at(&source, &data, None, &uniform).unwrap()).unwrap();
        for (target, partner) in found.into_iter().enumerate() {
            let column = numbers_of(&plan.select(1, target as i64));
            let total: f64 = column.iter().sum();
            let below: f64 = column[..partner as usize].iter().sum::<f64>() / total;
            let above = below + column[partner as usize] / total;
            assert!(below - 1e-4 < u && u < above + 1e-4, "{below} {u} {above}");
        }
    }
}

fn numbers_of(x: &Tensor) -> Vec<f64> {
    host::to_vec(x).unwrap()
}
