//! Fields with closed forms, as flows and as densities; a trained one too.

use maxlik_model::{Batch, Density, VectorField};
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_objectives::transport::{
    Coupling, Draws, FlowAndScore, FlowMatching, ScoreAndFlow, SdeDrift, normalised_path_energy,
    reflow, trajectory,
};
use maxlik_ode::{Adaptive, Cnf, Gaussian, Solver, tableau};
use maxlik_tensor::adamw::{AdamW, Step};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{Result, with_seed};
use maxlik_testkit::{Support, distance, normal};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

/// Between N(0, 1) and N(m, s²) on the line.
#[derive(Debug, Clone, Copy)]
enum Between {
    /// The velocity of independent pairs.
    Independent { mean: f64, std: f64 },
    /// That of the monotone map.
    Optimal { mean: f64, std: f64 },
}

impl VectorField for Between {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let t = t.view([-1, 1]);
        Ok(match *self {
            Self::Independent { mean, std } => {
                let rest: Tensor = 1.0 - &t;
                let variance = rest.square() + t.square() * (std * std);
                (&t * (std * std) - &rest) / variance * (x - &t * mean) + mean
            }
            Self::Optimal { mean, std } => {
                (x - &t * mean) / (&t * (std - 1.0) + 1.0) * (std - 1.0) + mean
            }
        })
    }
}

fn fine() -> Solver {
    Solver::adaptive(tableau::DOP853, Adaptive::new(1e-9, 1e-9)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The optimal field moves in straight lines: Euler is exact in any number of steps, and its path
    /// energy is the squared distance.
    #[test]
    fn optimal_paths_are_straight(seed in 0_u64..1 << 40, mean in -3.0..3.0, std in 0.2..3.0, steps in 1_usize..9) {
        let x = normal(seed, &[20, 1]);
        let found = trajectory(&Between::Optimal { mean, std }, &x, None, steps).unwrap();
        let end = &x * std + mean;
        prop_assert!(distance(&found.end().unwrap(), &end) < 1e-10);
        let moved = (&end - &x).square().squeeze();
        prop_assert!(distance(&found.energy, &moved) < 1e-9);
        prop_assert!(found.straightness().unwrap().abs().max().double_value(&[]) < 1e-9);
    }

    /// Independent pairs reach the same data by bent paths: `x ↦ m + s x`, at a higher energy. Their
    /// ends, paired anew, are straight: rectified flow finds the optimal field.
    #[test]
    fn reflow_straightens(seed in 0_u64..1 << 40, mean in -2.0..2.0, std in 0.3..0.7) {
        let x = normal(seed, &[30, 1]);
        let teacher = Between::Independent { mean, std };
        let pairs = reflow(&teacher, &fine(), &x, None).unwrap();
        prop_assert!(distance(&pairs.data, &(&x * std + mean)) < 1e-6);
        let bent = trajectory(&teacher, &x, None, 200).unwrap();
        prop_assert!(bent.straightness().unwrap().min().double_value(&[]) > -1e-9);
        prop_assert!(bent.straightness().unwrap().sum(Kind::Double).double_value(&[]) > 1e-3);
        let objective = FlowMatching::rectified().unwrap();
        let loss = objective.loss_between(&Between::Optimal { mean, std }, &pairs.source, &Batch::new(pairs.data));
        prop_assert!(loss.unwrap().value.double_value(&[]) < 1e-10);
    }

    /// A field is a density: both have that of N(m, s²), and its gradient.
    #[test]
    fn fields_are_densities(seed in 0_u64..1 << 40, mean in -2.0..2.0, std in 0.4..2.0) {
        let x: Tensor = normal(seed, &[7, 1]) * std + mean;
        let x = x.set_requires_grad(true);
        for field in [Between::Independent { mean, std }, Between::Optimal { mean, std }] {
            let base = Gaussian::standard(&[1], Kind::Double, Device::Cpu).unwrap();
            let log_prob = Cnf::new(field, base, fine()).log_prob(&x, None).unwrap();
            let z = (&x - mean) / std;
            let exact = (z.square() * -0.5 - std.ln() - 0.5 * std::f64::consts::TAU.ln()).squeeze();
            prop_assert!(distance(&log_prob.detach(), &exact.detach()) < 1e-6);
            let slope = Tensor::run_backward(&[log_prob.sum(Kind::Double)], &[&x], false, false);
            prop_assert!(distance(&slope[0], &(-z / std).detach()) < 1e-5);
        }
    }
}

#[test]
fn path_energies_compare_with_the_distance() {
    let (mean, std) = (1.5, 0.5);
    let x = normal(1, &[40_000, 1]);
    let squared: f64 = mean * mean + (std - 1.0) * (std - 1.0);
    let energy = |field| trajectory(&field, &x, None, 50).unwrap().mean_energy().unwrap();
    let optimal = normalised_path_energy(energy(Between::Optimal { mean, std }), squared);
    let independent = normalised_path_energy(energy(Between::Independent { mean, std }), squared);
    assert!(optimal < 0.02 && independent > 0.05, "{optimal} {independent}");
    assert!(trajectory(&Between::Optimal { mean, std }, &x, None, 0).is_err());
}

/// The best velocity and score of bridges between independent N(0, 1) and N(m, s²), times a factor.
#[derive(Debug)]
struct Bridged {
    score: bool,
    factor: f64,
}

const SIGMA: f64 = 0.8;
const MEAN: f64 = 0.7;
const STD: f64 = 0.5;

impl VectorField for Bridged {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let t = t.view([-1, 1]);
        let rest: Tensor = 1.0 - &t;
        let noise = &t * &rest * (SIGMA * SIGMA);
        let variance = rest.square() + t.square() * (STD * STD) + noise;
        let centred = x - &t * MEAN;
        if self.score {
            return Ok(centred / variance * -self.factor);
        }
        let slope = &t * (STD * STD) - &rest + (&rest - &t) * (0.5 * SIGMA * SIGMA);
        Ok((slope / variance * centred + MEAN) * self.factor)
    }
}

/// Both terms have their minima at the marginals' velocity and score.
#[test]
fn score_and_flow_are_found_together() {
    let rows = 60_000;
    let batch = Batch::new(normal(1, &[rows, 1]) * STD + MEAN);
    let draws = Draws {
        t: Support::Interval(0.001, 0.999).draw(2, rows, &[]),
        source: normal(3, &[rows, 1]),
        noise: normal(4, &[rows, 1]),
    };
    let objective = ScoreAndFlow::new(SIGMA).unwrap().coupled(Coupling::Independent {}).unwrap();
    let terms = |factor| {
        let field = |score| Box::new(Bridged { score, factor });
        let model = FlowAndScore { velocity: field(false), score: field(true) };
        objective.loss_at(&model, &batch, &draws).unwrap()
    };
    let z = |factor: f64| {
        let h = 1e-4;
        let (after, before) = (terms(factor + h), terms(factor - h));
        [after.flow - before.flow, after.score - before.score].map(|slope| {
            let slope = slope / (2.0 * h);
            (slope.mean(Kind::Double) / (slope.std(true) / (rows as f64).sqrt())).double_value(&[])
        })
    };
    assert!(z(1.0).iter().all(|z| z.abs() < 5.0), "{:?}", z(1.0));
    assert!(z(1.3).iter().all(|&z| z > 10.0), "{:?}", z(1.3));
    let model = FlowAndScore {
        velocity: Box::new(Bridged { score: false, factor: 1.0 }),
        score: Box::new(Bridged { score: true, factor: 1.0 }),
    };
    let both = objective.loss_between(&model, &draws.source, &batch).unwrap();
    let sum: f64 = both.metrics.iter().map(|metric| metric.value.double_value(&[])).sum();
    assert!((both.value.double_value(&[]) - sum).abs() < 1e-10);
}

/// With no velocity and the score of N(0, I) the process is the stationary one of Ornstein and Uhlenbeck.
#[test]
fn the_drift_keeps_the_marginals() {
    #[derive(Debug)]
    struct Times(f64);
    impl VectorField for Times {
        fn velocity(&self, _t: &Tensor, x: &Tensor, _c: Option<&Tensor>) -> Result<Tensor> {
            Ok(x * self.0)
        }
    }
    let model = FlowAndScore { velocity: Box::new(Times(0.0)), score: Box::new(Times(-1.0)) };
    let drift = SdeDrift::new(model, 2.0).unwrap();
    let x = normal(1, &[4, 2]);
    let found = drift.velocity(&Tensor::zeros([4], tch::kind::DOUBLE_CPU), &x, None).unwrap();
    assert!(distance(&found, &(&x * -2.0)) < 1e-14);
}

/// A small network on `[x, t]`, with two derivatives: where slopes jump, as for SELU, the gradient of the
/// divergence by autograd leaves the jumps out.
#[derive(Debug)]
struct Net(Mlp);

impl VectorField for Net {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        self.0.forward(&Tensor::f_cat(&[x, &t.f_view([-1, 1])?], 1)?, None)
    }
}

fn build() -> (Params, Net) {
    let params = Params::new(1, Kind::Double, Device::Cpu);
    let config =
        MlpConfig { hidden: vec![24, 24], activation: Activation::Silu, ..MlpConfig::default() };
    let net = Net(Mlp::new(&params.root(), 2, 0, 1, &config).unwrap());
    (params, net)
}

/// A trained field is a density like any other: it integrates to one, its gradient by the data is
/// its slope, gradients reach its parameters, and any solver samples from it.
#[test]
fn a_trained_field_is_a_density() {
    let (params, net) = build();
    let leaves: Vec<Tensor> = params.trainable().into_iter().map(|(_, tensor)| tensor).collect();
    let refs: Vec<&Tensor> = leaves.iter().collect();
    let mut optimizer = AdamW::new(leaves.iter().map(Tensor::shallow_clone).collect()).unwrap();
    let objective = FlowMatching::optimal(0.0).unwrap();
    // Two modes.
    let data = |seed| normal(seed, &[128, 1]) * 0.3 + normal(seed + 1, &[128, 1]).sign() * 1.5;
    for step in 0..200 {
        let batch = Batch::new(data(10 * step));
        let source = normal(10 * step + 5, &[128, 1]);
        let loss = with_seed(step, || objective.loss_between(&net, &source, &batch)).unwrap();
        let gradients = grad(&[&loss.value], &[None], &refs, Graph::Free).unwrap();
        let gradients: Vec<Tensor> = gradients.into_iter().map(Option::unwrap).collect();
        let step = Step { lr: 5e-3, beta1: 0.9, beta2: 0.999, weight_decay: 0.0, eps: 1e-8 };
        optimizer.step(&gradients, &step).unwrap();
    }
    let standard = || Gaussian::standard(&[1], Kind::Double, Device::Cpu).unwrap();
    let cnf = Cnf::new(
        net,
        standard(),
        Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-5, 1e-5)).unwrap(),
    );
    let grid = Tensor::arange_start(-100, 100, (Kind::Double, Device::Cpu)).view([-1, 1]) / 20.0;
    let log_prob = {
        let _no_grad = tch::no_grad_guard();
        cnf.log_prob(&grid, None).unwrap()
    };
    let mass = log_prob.exp().sum(Kind::Double).double_value(&[]) / 20.0;
    assert!((mass - 1.0).abs() < 1e-3, "{mass}");
    let test = cnf.log_prob(&data(99_999), None).unwrap();
    let single = -0.5 * (std::f64::consts::TAU * (2.25_f64 + 0.09)).ln() - 0.5;
    let mean = test.mean(Kind::Double);
    assert!(mean.double_value(&[]) > single + 0.3, "{} {single}", mean.double_value(&[]));
    let by_parameters = grad(&[&mean], &[None], &refs, Graph::Free).unwrap();
    assert!(
        by_parameters
            .iter()
            .all(|g| g.as_ref().is_some_and(|g| g.abs().max().double_value(&[]) > 0.0))
    );
    let x = Tensor::from_slice(&[-1.4, 0.1, 1.0]).view([3, 1]).set_requires_grad(true);
    let at = |x: &Tensor| cnf.log_prob(x, None).unwrap();
    let slope = grad(&[&at(&x).sum(Kind::Double)], &[None], &[&x], Graph::Free).unwrap()[0]
        .as_ref()
        .unwrap()
        .squeeze();
    let h = 1e-2;
    let x = x.detach();
    let differences = ((at(&(&x + h)) - at(&(&x - h))) / (2.0 * h)).detach();
    assert!(distance(&slope, &differences) < 1e-2, "{slope:?} {differences:?}");
    let mut samples = Vec::new();
    for solver in [
        Solver::fixed(tableau::EULER, 100).unwrap(),
        Solver::fixed(tableau::RK4, 20).unwrap(),
        fine(),
    ] {
        let (copy, net) = build();
        copy.load(&params.named()).unwrap();
        let cnf = Cnf::new(net, standard(), solver);
        samples.push(with_seed(7, || cnf.sample(500, None)).unwrap());
    }
    assert!(distance(&samples[1], &samples[2]) < 1e-3);
    assert!(distance(&samples[0], &samples[2]) < 0.2);
}
