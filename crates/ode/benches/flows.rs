//! Log-probabilities and training gradients of continuous flows, as `benches/peers/ode.py` takes them
//! in torchdiffeq and diffrax: a perceptron with two layers of 64 units and `tanh`, batch 512, Dopri5
//! at 10⁻⁵ with one step size for the batch, float32, two threads (or OMP_NUM_THREADS).
//!
//! Weights are the same formula there and here. A training gradient is that of the mean
//! log-probability by all parameters.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use criterion::{Criterion, criterion_group, criterion_main};
use maxlik_model::VectorField;
use maxlik_nn::Params;
use maxlik_ode::{
    Adaptive, Autograd, Cnf, Draws, Gaussian, Gradient, MlpField, MlpFieldConfig, Solver, tableau,
};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, grad};
use tch::{Device, Kind, Tensor};

const BATCH: i64 = 512;

/// `scale · sin(1 + 1.618 k + seed)` for `k = 0, 1, …`: numbers that other languages can make, too.
fn numbers(seed: f64, scale: f64, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>();
    let k = Tensor::arange(count, (Kind::Double, Device::Cpu));
    ((k * 1.618 + (1.0 + seed)).sin() * scale).to_kind(Kind::Float).view(shape)
}

/// The network, with output weights of that scale.
fn network(d: i64, scale: f64) -> (MlpField, Params) {
    let params = Params::new(1, Kind::Float, Device::Cpu);
    let field = MlpField::new(&params.root(), d, 0, &MlpFieldConfig::default()).unwrap();
    let values = params.trainable().into_iter().map(|(name, old)| {
        let (seed, size) = match name.as_str() {
            "first.weight" => (0.0, 1.0 / (d as f64).sqrt()),
            "first.time" => (1.0, 1.0),
            "first.bias" => (2.0, 0.3),
            "0.weight" => (3.0, 0.2),
            "0.bias" => (4.0, 0.3),
            "1.weight" => (5.0, scale),
            _ => (6.0, 0.1),
        };
        (name, numbers(seed, size, &old.size()))
    });
    params.load(&values.collect::<Vec<_>>()).unwrap();
    (field, params)
}

fn solver() -> Solver {
    Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-5, 1e-5).joint()).unwrap()
}

fn flow(d: i64, scale: f64) -> (Cnf, Params) {
    let (field, params) = network(d, scale);
    let base = Gaussian::standard(&[d], Kind::Float, Device::Cpu).unwrap();
    (Cnf::with_drift(field, base, solver()), params)
}

/// The same field solved on tensors, with the divergence from autograd.
fn general(d: i64, scale: f64) -> (Cnf, Params) {
    #[derive(Debug)]
    struct Hidden(MlpField);
    impl VectorField for Hidden {
        fn velocity(&self, t: &Tensor, x: &Tensor, c: Option<&Tensor>) -> Result<Tensor> {
            self.0.velocity(t, x, c)
        }
    }
    let (field, params) = network(d, scale);
    let base = Gaussian::standard(&[d], Kind::Float, Device::Cpu).unwrap();
    (Cnf::with_drift(Autograd(Hidden(field)), base, solver()), params)
}

fn data(d: i64) -> Tensor {
    numbers(7.0, 1.5, &[BATCH, d])
}

fn draws(d: i64, hutchinson: bool) -> Draws {
    let probe = hutchinson.then(|| numbers(8.0, 1.0, &[1, BATCH, d]).sign());
    Draws { probe, base_time: None }
}

fn log_prob(cnf: &Cnf, x: &Tensor, draws: &Draws) -> f64 {
    let _no_grad = tch::no_grad_guard();
    cnf.evaluate(x, None, draws).unwrap().log_prob.mean(Kind::Float).double_value(&[])
}

fn train(cnf: &Cnf, params: &Params, x: &Tensor, draws: &Draws) {
    let loss = cnf.evaluate(x, None, draws).unwrap().log_prob.mean(Kind::Float);
    let named = params.trainable();
    let inputs: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
    let found = grad(&[&loss], &[None], &inputs, Graph::Free).unwrap();
    assert_eq!(found.len(), inputs.len());
}

fn benches(criterion: &mut Criterion) {
    let threads = std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse().ok());
    tch::set_num_threads(threads.unwrap_or(2));
    for (name, d, scale, hutchinson) in [
        ("d2_exact", 2, SOFT, false),
        ("d2_stiffer_exact", 2, STIFF, false),
        ("d43_hutchinson", 43, WIDE, true),
        ("d43_exact", 43, WIDE, false),
    ] {
        let (cnf, params) = flow(d, scale);
        let (x, draws) = (data(d), draws(d, hutchinson));
        let found = cnf.evaluate(&x, None, &draws).unwrap();
        eprintln!(
            "{name}: {} evaluations, mean log-probability {:.6}",
            found.counts[0].evaluations,
            log_prob(&cnf, &x, &draws)
        );
        let mut group = criterion.benchmark_group(format!("flow/{name}"));
        group.bench_function("log_prob", |b| b.iter(|| log_prob(&cnf, &x, &draws)));
        group.bench_function("training", |b| b.iter(|| train(&cnf, &params, &x, &draws)));
        if name == "d2_exact" {
            let (cnf, params) = general(d, scale);
            group.bench_function("general/log_prob", |b| b.iter(|| log_prob(&cnf, &x, &draws)));
            group.bench_function("general/training", |b| {
                b.iter(|| train(&cnf, &params, &x, &draws));
            });
            let tensors: Vec<Tensor> = params.trainable().into_iter().map(|(_, t)| t).collect();
            let cnf = cnf.gradient(Gradient::Adjoint { solver: None, seminorm: true }, &tensors);
            group
                .bench_function("general/adjoint", |b| b.iter(|| train(&cnf, &params, &x, &draws)));
        }
        group.finish();
    }
}

/// Output scales that make about 25 and 100 evaluations in two dimensions, and 25 in 43.
const SOFT: f64 = 0.06;
const STIFF: f64 = 4.0;
const WIDE: f64 = 0.06;

criterion_group!(all, benches);
criterion_main!(all);
