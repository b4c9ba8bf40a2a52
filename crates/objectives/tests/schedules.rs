//! Evidence bounds under given and learned noise schedules, on normal data where all is known.

use maxlik_model::{Batch, Objective, VectorField};
use maxlik_nn::Params;
use maxlik_objectives::diffusion::{
    LearnedLevels, NoiseMatching, TimeDraws, Times, VelocityMatching,
};
use maxlik_ode::diffusion::{MonotoneSchedule, NoisePath, Schedule};
use maxlik_tensor::Result;
use maxlik_testkit::{distance, normal};
use proptest::prelude::{ProptestConfig, proptest};
use tch::{Device, Kind, Tensor};

const PRESERVING: Schedule = Schedule::VariancePreserving { beta_min: 0.1, beta_max: 12.0 };
const SUB: Schedule = Schedule::SubVariancePreserving { beta_min: 0.3, beta_max: 9.0 };
const EXPLODING: Schedule = Schedule::VarianceExploding { sigma_min: 0.05, sigma_max: 8.0 };
const COSINE: Schedule = Schedule::Cosine { end: 0.97 };
const ALL: [Schedule; 4] = [PRESERVING, SUB, EXPLODING, COSINE];
const DRAWS: [TimeDraws; 2] = [TimeDraws::Uniform, TimeDraws::Levels];

fn column(t: &Tensor) -> Tensor {
    t.view([-1, 1])
}

/// `E[ε | z]` for `x ~ N(0, s² I)`, times a factor: a function of `γ` and `z/α` alone.
#[derive(Debug)]
struct Best {
    schedule: Schedule,
    std: f64,
    factor: f64,
}

impl VectorField for Best {
    fn velocity(&self, t: &Tensor, z: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let alpha = column(&self.schedule.alpha(t)?);
        let sigma = column(&self.schedule.sigma(t)?);
        let variance = alpha.square() * (self.std * self.std) + sigma.square();
        Ok(z * sigma / variance * self.factor)
    }
}

fn gap_in_errors(each: &Tensor, wanted: f64) -> f64 {
    let error = each.std(true) / (each.size()[0] as f64).sqrt();
    ((each.mean(Kind::Double) - wanted) / error).double_value(&[])
}

/// With the best prediction the bound is the entropy of the noised data and the divergence of their law at
/// the end from the prior, whatever the process and the draw of times.
#[test]
fn the_bound_is_exact_for_normal_data() {
    let (rows, dims, std) = (40_000, 2, 0.7);
    let (x, noise) = (normal(1, &[rows, dims]) * std, normal(2, &[rows, dims]));
    for schedule in ALL {
        let at = |t: f64| {
            let t = Tensor::from_slice(&[t]);
            let alpha = schedule.alpha(&t).unwrap().double_value(&[0]);
            let sigma = schedule.sigma(&t).unwrap().double_value(&[0]);
            alpha * alpha * std * std + sigma * sigma
        };
        let start = 0.05;
        let prior = schedule.prior_std().unwrap().powi(2);
        let d = dims as f64;
        let tau_e = std::f64::consts::TAU * std::f64::consts::E;
        let ratio = at(1.0) / prior;
        let exact = 0.5 * d * ((tau_e * at(start)).ln() + ratio - 1.0 - ratio.ln());
        for draws in DRAWS {
            let matching = NoiseMatching { schedule, start, draws };
            let t = Tensor::from_slice(&matching.times(0.37, rows).unwrap());
            let batch = Batch::new(x.shallow_clone());
            let bound = |factor| {
                let best = Best { schedule, std, factor };
                matching.bound_at(&best, &batch, &t, &noise).unwrap()
            };
            let z = gap_in_errors(&bound(1.0), exact);
            assert!(z.abs() < 5.0, "{schedule:?}, {draws:?}: {z}");
            assert!(gap_in_errors(&bound(0.5), exact) > 5.0, "{schedule:?}, {draws:?}");
        }
    }
}

/// Between the same noise-to-signal ratios the loss is the same under every process, row by row.
#[test]
fn the_process_does_not_matter_between_given_levels() {
    let rows = 200;
    let (x, noise) = (normal(3, &[rows, 3]), normal(4, &[rows, 3]));
    let wide = (1.0_f64 + PRESERVING.gamma(1.0).exp()).sqrt();
    let exploding = Schedule::VarianceExploding { sigma_min: 1.0, sigma_max: wide };
    let each = |schedule: Schedule| {
        let start = schedule.time_of(1.5);
        let matching = NoiseMatching { schedule, start, draws: TimeDraws::Levels };
        let t = Tensor::from_slice(&matching.times(0.2, rows).unwrap());
        let model = Best { schedule, std: 0.4, factor: 0.8 };
        matching.loss_at(&model, &Batch::new(x.shallow_clone()), &t, &noise).unwrap()
    };
    assert!((exploding.gamma(1.0) - PRESERVING.gamma(1.0)).abs() < 1e-9);
    assert!(distance(&each(PRESERVING), &each(exploding)) < 1e-8);
    assert!(distance(&each(PRESERVING), &each(SUB)) > 1e-3, "other ends");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// `γ(t)` is the logarithm of the ratio, rises, and is inverted; `g² = σ² dγ/dt`.
    #[test]
    fn levels_and_times(which in 0_usize..4, t in 0.001_f64..1.0) {
        let schedule = ALL[which];
        let gamma = schedule.gamma(t);
        let at = Tensor::from_slice(&[t]);
        let [alpha, sigma, noise] = [schedule.alpha(&at), schedule.sigma(&at), schedule.noise_rate(&at)]
            .map(|x| x.unwrap().double_value(&[0]));
        assert!((gamma - 2.0 * (sigma / alpha).ln()).abs() < 1e-9);
        assert!((schedule.time_of(-0.5 * gamma) - t).abs() < 1e-9);
        let h = 1e-5 * t;
        let rate = (schedule.gamma(t + h) - schedule.gamma(t - h)) / (2.0 * h);
        assert!((noise / (sigma * sigma) - rate).abs() < 1e-5 * rate, "{schedule:?} {t}");
    }

    /// A learned schedule rises between its ends, and knows its rate, for any parameters.
    #[test]
    fn learned_schedules_rise(seed in 0_u64..1000, scale in 0.1_f64..3.0) {
        let schedule = learned(seed, scale).1;
        let t = Tensor::linspace(0.0, 1.0, 101, tch::kind::DOUBLE_CPU).set_requires_grad(true);
        let at = schedule.at(&t).unwrap();
        let [low, high] = schedule.ends();
        assert!((at.gamma.double_value(&[0]) - low).abs() < 1e-9);
        assert!((at.gamma.double_value(&[100]) - high).abs() < 1e-9);
        assert!(at.gamma.diff::<Tensor>(1, 0, None, None).min().double_value(&[]) > 0.0);
        let slope = Tensor::run_backward(&[at.gamma.sum(Kind::Double)], &[&t], true, false);
        assert!(distance(&slope[0], &at.rate) < 1e-9);
    }
}

/// A schedule with all parameters moved by `scale`.
fn learned(seed: u64, scale: f64) -> (Params, MonotoneSchedule) {
    let params = Params::new(seed, Kind::Double, Device::Cpu);
    let schedule = MonotoneSchedule::new(&params.root(), [-6.0, 5.0], 8).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
            let moved = &tensor + normal(seed + i as u64, &tensor.size()) * scale;
            tensor.copy_(&moved);
        }
    }
    (params, schedule)
}

/// The best velocity for normal data on the variance-preserving path, times a factor.
#[derive(Debug)]
struct Velocity {
    std: f64,
    factor: f64,
}

impl VectorField for Velocity {
    fn velocity(&self, gamma: &Tensor, z: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let levels = NoisePath::VariancePreserving.levels(&column(gamma))?;
        let (alpha, sigma, v) = (levels.alpha, levels.sigma, self.std * self.std);
        let slope = &alpha * &sigma * (1.0 - v) / (alpha.square() * v + sigma.square());
        Ok(z * slope * self.factor)
    }
}

/// The loss on a learned schedule has the same mean whatever its parameters, and training it on the square
/// lowers the variance.
#[test]
fn learned_schedules_keep_the_bound() {
    let rows = 20_000;
    let (x, noise) = (normal(5, &[rows, 2]) * 0.5, normal(6, &[rows, 2]));
    let batch = Batch::new(x);
    let matching = VelocityMatching {
        path: NoisePath::VariancePreserving,
        g0: -6.0,
        g1: 5.0,
        times: Times::Uniform,
    };
    let model = Velocity { std: 0.5, factor: 0.7 };
    let gamma = Tensor::from_slice(&matching.gamma(0.3, rows).unwrap());
    let uniform = matching.loss_at(&model, &batch, &gamma, &noise).unwrap();
    let t = (Tensor::arange(rows, tch::kind::DOUBLE_CPU) + 0.5) / rows as f64;
    let rows_of = |schedule: &MonotoneSchedule| {
        matching.loss_on(&model, schedule, &batch, &t, &noise).unwrap()
    };
    for seed in 0..4 {
        let (_params, schedule) = learned(seed, 1.5);
        let each = rows_of(&schedule);
        let error = (each.std(true).square() + uniform.std(true).square()).sqrt();
        let gap = each.mean(Kind::Double) - uniform.mean(Kind::Double);
        let z = (gap / error * (rows as f64).sqrt()).double_value(&[]);
        assert!(z.abs() < 5.0, "seed {seed}: {z}");
    }
    let (params, schedule) = learned(0, 0.0);
    let before = rows_of(&schedule).std(true).double_value(&[]);
    let named = params.trainable();
    for _ in 0..40 {
        let square = rows_of(&schedule).square().mean(Kind::Double);
        let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
        let slopes = Tensor::run_backward(&[square], &leaves, false, false);
        let _no_grad = tch::no_grad_guard();
        for (leaf, slope) in leaves.iter().zip(&slopes) {
            let mut leaf = leaf.shallow_clone();
            let norm = slope.norm().double_value(&[]).max(1e-12);
            leaf.copy_(&(&leaf - slope * (0.1 / norm)));
        }
    }
    let after = rows_of(&schedule).std(true).double_value(&[]);
    assert!(after < 0.9 * before, "{before} {after}");
    let other = MonotoneSchedule::new(&params.root().sub("other"), [-6.0, 4.0], 2).unwrap();
    assert!(matching.loss_on(&model, &other, &batch, &t, &noise).is_err(), "other ends");
    for (ends, units) in [([1.0, 1.0], 3), ([0.0, 1.0], 0)] {
        assert!(MonotoneSchedule::new(&params.root().sub("wrong"), ends, units).is_err());
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let batch = Batch::new(normal(1, &[4, 2]));
    let model = Best { schedule: SUB, std: 1.0, factor: 1.0 };
    let matching = NoiseMatching { schedule: SUB, start: 0.01, draws: TimeDraws::Levels };
    let loss = matching.loss(&model as &dyn VectorField, &batch).unwrap();
    assert!(loss.value.double_value(&[]) > 0.0);
    for start in [0.0, 1.0, f64::NAN] {
        let wrong = NoiseMatching { start, ..matching };
        assert!(wrong.loss(&model as &dyn VectorField, &batch).is_err());
    }
}

/// One loss, two gradients: the network's is that of the mean, the schedule's that of the mean square in
/// units of the squared mean, by the definition.
#[test]
fn a_schedule_learns_from_squares() {
    let (params, schedule) = learned(5, 0.5);
    let factor = params.root().param("factor", &[], maxlik_nn::Init::Constant(0.7)).unwrap();

    #[derive(Debug)]
    struct Scaled(Tensor);
    impl VectorField for Scaled {
        fn velocity(
            &self,
            gamma: &Tensor,
            z: &Tensor,
            _context: Option<&Tensor>,
        ) -> Result<Tensor> {
            Ok(z * column(&gamma.sigmoid()) * &self.0)
        }
    }

    let network = Scaled(factor.shallow_clone());
    let [g0, g1] = schedule.ends();
    let path = NoisePath::VariancePreserving;
    let matching = VelocityMatching { path, g0, g1, times: Times::Uniform };
    let (batch, noise) = (Batch::new(normal(6, &[50, 3]) * 0.6), normal(7, &[50, 3]));
    let t = Tensor::linspace(0.01, 0.99, 50, tch::kind::DOUBLE_CPU);
    let each = matching.loss_on(&network, &schedule, &batch, &t, &noise).unwrap();
    let mean = each.mean(Kind::Double);
    let relative = each.square().mean(Kind::Double) / mean.detach().square();
    let named = params.trainable();
    let own: Vec<&Tensor> =
        named.iter().filter(|(name, _)| name != "factor").map(|(_, x)| x).collect();
    let half = Tensor::run_backward(&[&relative * 0.5], &own, true, false);
    let plain = Tensor::run_backward(&[&mean], &[&factor], true, false);
    let learned = LearnedLevels { matching, schedule };
    let loss = learned.loss_at(&network, &batch, &t, &noise).unwrap();
    assert!(distance(&loss.value, &mean) < 1e-12);
    assert!(distance(&loss.metrics[0].value, &relative) < 1e-12);
    let mut leaves = own.clone();
    leaves.push(&factor);
    let found = Tensor::run_backward(&[&loss.value], &leaves, false, false);
    for (found, wanted) in found.iter().zip(half.iter().chain(&plain)) {
        assert!(distance(found, wanted) < 1e-10);
        assert!(wanted.abs().max().double_value(&[]) > 0.0);
    }
}
