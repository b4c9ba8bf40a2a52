//! Diffusion ODEs: schedules, exact densities of normal data, dequantization.

use crate::{distance, normal, slope, vector};
use maxlik_model::{Density, VectorField};
use maxlik_ode::diffusion::{
    Dequantization, Dequantizer, DiffusionOde, GammaOde, NoisePath, NoisePrediction, Schedule,
    TimeScore,
};
use maxlik_ode::{Adaptive, Cnf, Gaussian, Solver, tableau};
use maxlik_tensor::{Result, with_seed};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

const SCHEDULES: [Schedule; 4] = [
    Schedule::LINEAR,
    Schedule::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    Schedule::VarianceExploding { sigma_min: 0.01, sigma_max: 20.0 },
    Schedule::Cosine { end: 0.98 },
];

fn gaussian(d: i64, std: f64) -> Gaussian {
    Gaussian::new(&[d], std, Kind::Double, Device::Cpu).unwrap()
}

fn solver(tolerance: f64) -> Solver {
    Solver::adaptive(tableau::DOP853, Adaptive::new(tolerance, tolerance)).unwrap()
}

#[test]
fn schedules_are_moments_of_their_processes() {
    let t = vector(&[0.05, 0.3, 0.8]);
    let h = 1e-6;
    for schedule in SCHEDULES {
        let rate = |f: &dyn Fn(&Tensor) -> Tensor| (f(&(&t + h)) - f(&(&t - h))) / (2.0 * h);
        let alpha = |t: &Tensor| schedule.alpha(t).unwrap();
        let variance = |t: &Tensor| schedule.sigma(t).unwrap().square();
        let pull = schedule.drift_rate(&t).unwrap();
        assert!(distance(&rate(&alpha), &(&pull * alpha(&t))) < 1e-6, "{schedule:?}");
        let wanted = &pull * variance(&t) * 2.0 + schedule.noise_rate(&t).unwrap();
        let gap = distance(&(rate(&variance) / &wanted), &wanted.ones_like());
        assert!(gap < 1e-6, "{schedule:?}: {gap}");
        assert!(schedule.check().is_ok());
    }
    assert!(Schedule::VariancePreserving { beta_min: 2.0, beta_max: 1.0 }.check().is_err());
    assert!([0.0, 1.0].iter().all(|end| Schedule::Cosine { end: *end }.check().is_err()));
}

/// The score of `x₀ ~ N(0, s² I)`.
#[derive(Debug)]
struct NormalScore(Schedule, f64);

impl TimeScore for NormalScore {
    fn score(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let variance = self.0.alpha(t)?.square() * (self.1 * self.1) + self.0.sigma(t)?.square();
        Ok(-x / variance.view([-1, 1]))
    }
}

/// The same as a prediction of the noise: `ε = −σ s`.
#[derive(Debug)]
struct NormalNoise(Schedule, f64);

impl VectorField for NormalNoise {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let score = NormalScore(self.0, self.1).score(t, x, context)?;
        Ok(score * -self.0.sigma(t)?.view([-1, 1]))
    }
}

#[test]
fn probability_flow_has_the_density_of_the_data() {
    let x = normal(2, &[6, 3]) * 0.5;
    for schedule in SCHEDULES {
        let prior = (&[3_i64][..], Kind::Double, Device::Cpu);
        let by_score =
            DiffusionOde::new(schedule, NormalScore(schedule, 0.5), prior, 1e-3, solver(1e-8))
                .unwrap();
        let by_noise = NoisePrediction { schedule, network: NormalNoise(schedule, 0.5) };
        let by_noise = DiffusionOde::new(schedule, by_noise, prior, 1e-3, solver(1e-8)).unwrap();
        let start = vector(&[1e-3]);
        let variance = schedule.alpha(&start).unwrap().square() * 0.25
            + schedule.sigma(&start).unwrap().square();
        let exact = gaussian(3, variance.double_value(&[0]).sqrt()).log_prob(&x, None).unwrap();
        // The prior leaves out what is left of the data at t = 1.
        let gap = distance(&by_score.log_prob(&x, None).unwrap(), &exact);
        assert!(gap < 3e-3, "{schedule:?}: {gap}");
        let same =
            distance(&by_noise.log_prob(&x, None).unwrap(), &by_score.log_prob(&x, None).unwrap());
        assert!(same < 1e-6, "{same}");
        let samples = with_seed(3, || by_score.sample(2000, None)).unwrap();
        let std = samples.std(false).double_value(&[]);
        assert!((std - 0.5).abs() < 0.02, "{schedule:?}: {std}");
    }
}

/// The best velocity for `x ~ N(0, s² I)`.
#[derive(Debug)]
struct NormalVelocity(NoisePath, f64);

impl VectorField for NormalVelocity {
    fn velocity(&self, t: &Tensor, z: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let levels = self.0.levels(t)?;
        let variance = self.1 * self.1;
        let total = levels.alpha.square() * variance + levels.sigma.square();
        let factor = match self.0 {
            NoisePath::VariancePreserving => &levels.alpha * &levels.sigma * (1.0 - variance),
            NoisePath::Straight => (&levels.sigma - &levels.alpha * variance) / 2.0_f64.sqrt(),
        };
        Ok(z * (factor / total).view([-1, 1]))
    }
}

fn gamma_flow(path: NoisePath, solver: Solver) -> (Cnf, Gaussian) {
    let (s, g0, g1) = (0.5, -13.3, 5.0);
    let std = |gamma: f64| {
        let levels = path.levels(&vector(&[gamma])).unwrap();
        (levels.alpha.square() * (s * s) + levels.sigma.square()).sqrt().double_value(&[0])
    };
    let field = GammaOde { path, network: NormalVelocity(path, s) };
    (Cnf::new(field, gaussian(2, std(g1)), solver).times(g1, g0), gaussian(2, std(g0)))
}

#[test]
fn gamma_odes_are_exact_on_normal_data() {
    let z = normal(1, &[9, 2]) * 0.5;
    for path in [NoisePath::VariancePreserving, NoisePath::Straight] {
        let (flow, exact) = gamma_flow(path, solver(1e-9));
        let exact = exact.log_prob(&z, None).unwrap();
        let gap = distance(&flow.log_prob(&z, None).unwrap(), &exact);
        assert!(gap < 1e-6, "{path:?}: {gap}");
        let steps = [200, 280, 400];
        let errors = steps.map(|n| {
            let (flow, _) = gamma_flow(path, Solver::fixed(tableau::RK4, n).unwrap());
            distance(&flow.log_prob(&z, None).unwrap(), &exact)
        });
        let order = slope(&steps, &errors);
        assert!((order - 4.0).abs() < 0.3, "{path:?}: {order}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn velocities_and_noises_convert(seed in 0_u64..1 << 40, gamma in -12.0_f64..6.0) {
        let (x, noise) = (normal(seed, &[4, 3]), normal(seed + 1, &[4, 3]));
        let t = Tensor::full([4], gamma, (Kind::Double, Device::Cpu));
        for path in [NoisePath::VariancePreserving, NoisePath::Straight] {
            let levels = path.levels(&t).unwrap();
            let z = &x * levels.alpha.view([-1, 1]) + &noise * levels.sigma.view([-1, 1]);
            let velocity = path.velocity(&x, &noise, &t).unwrap();
            prop_assert!(distance(&path.noise(&velocity, &z, &t).unwrap(), &noise) < 1e-9);
            let ratio = (levels.sigma.square() / levels.alpha.square()).log();
            prop_assert!(distance(&ratio, &t) < 1e-9);
            // F is dz/dγ at fixed x and ε, in units of the rate.
            let h = 1e-5;
            let at = |g: f64| {
                let l = path.levels(&(&t + g)).unwrap();
                &x * l.alpha.view([-1, 1]) + &noise * l.sigma.view([-1, 1])
            };
            let wanted = (at(h) - at(-h)) / (2.0 * h);
            let found = velocity * path.rate(&t).unwrap().view([-1, 1]);
            prop_assert!(distance(&found, &wanted) < 1e-8);
        }
    }
}

#[test]
fn levels_are_drawn_by_their_weight() {
    let path = NoisePath::VariancePreserving;
    assert!((path.mass(-13.3, 5.0) - 13.293_286_0).abs() < 1e-6);
    let found = path.sample(&[0.0, 0.25, 0.5, 0.75, 1.0], -13.3, 5.0).unwrap();
    for (found, wanted) in found.iter().zip([-13.3, -9.976_633_6, -6.652_068_0, -3.293_588_9, 5.0])
    {
        assert!((found - wanted).abs() < 1e-6, "{found} and {wanted}");
    }
    // The straight path's: q is the part of the mass below γ.
    let path = NoisePath::Straight;
    let mass = path.mass(-13.3, 5.0);
    for (q, gamma) in
        [0.1, 0.6, 0.9].into_iter().zip(path.sample(&[0.1, 0.6, 0.9], -13.3, 5.0).unwrap())
    {
        assert!((path.mass(-13.3, gamma) / mass - q).abs() < 1e-9);
    }
    assert!(path.sample(&[0.5], 1.0, 1.0).is_err());
}

fn dequantizer(how: Dequantization, gamma: f64, half: f64) -> Dequantizer {
    let levels = NoisePath::VariancePreserving.levels(&vector(&[gamma])).unwrap();
    let (alpha, sigma) = (levels.alpha.double_value(&[0]), levels.sigma.double_value(&[0]));
    Dequantizer::new(how, alpha, sigma, half).unwrap()
}

#[test]
fn truncated_noise_has_its_entropy() {
    let exact = dequantizer(Dequantization::TruncatedNormal, -13.3, 1.0 / 256.0);
    assert!((exact.tau() - 3.018_688_8).abs() < 1e-6);
    assert!((exact.truncated_entropy().unwrap() + 5.246_283_2).abs() < 1e-6);
    let x = Tensor::zeros([20_000, 1], (Kind::Double, Device::Cpu));
    for gamma in [-13.3, -11.0, -8.0] {
        let found = dequantizer(Dequantization::TruncatedNormal, gamma, 1.0 / 256.0);
        let drawn = with_seed(1, || found.draw(&x)).unwrap();
        let surprise = -drawn.log_prob.mean(Kind::Double).double_value(&[]);
        let error = drawn.log_prob.std(true).double_value(&[]) / 20_000.0_f64.sqrt();
        let entropy = found.truncated_entropy().unwrap();
        assert!((surprise - entropy).abs() < 4.0 * error + 1e-12);
        let limit = drawn.value.abs().max().double_value(&[]);
        assert!(limit <= 1.0 / 256.0, "{limit}");
    }
}

/// A density of bins: the bound of every kind of noise is below the exact probability, and more
/// samples bring it closer.
#[test]
fn bounds_are_below_the_probability() {
    let (half, std) = (0.5, 0.8);
    let density = Gaussian::new(&[1], std, Kind::Double, Device::Cpu).unwrap();
    let value = 1.0;
    let cumulative =
        |x: f64| 0.5 * (1.0 + vector(&[x / std / 2.0_f64.sqrt()]).erf().double_value(&[0]));
    let exact = (cumulative(value + half) - cumulative(value - half)).ln();
    let x = Tensor::full([4000, 1], value, (Kind::Double, Device::Cpu));
    // A flow of no layers conditioned on the value would do: here a fixed normal density.
    #[derive(Debug)]
    struct Conditional(Gaussian);
    impl Density for Conditional {
        fn event_shape(&self) -> &[i64] {
            self.0.event_shape()
        }
        fn context_shape(&self) -> Option<&[i64]> {
            Some(&[1])
        }
        fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
            self.0.log_density(x, None)
        }
        fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
            self.0.draw(count, None)
        }
        fn rsample_and_log_prob(
            &self,
            count: i64,
            _c: Option<&Tensor>,
        ) -> Result<maxlik_model::Sampled> {
            self.0.rsample_and_log_prob(count, None)
        }
    }
    let kinds = || {
        [
            Dequantization::Uniform,
            Dequantization::TruncatedNormal,
            Dequantization::Variational(Box::new(Conditional(gaussian(1, 1.5)))),
        ]
    };
    for how in kinds() {
        let name = format!("{how:?}");
        let found = Dequantizer::new(how, 1.0, 0.4, half).unwrap();
        let mean = |samples| {
            let bound = with_seed(2, || found.bound(&density, &x, None, samples)).unwrap();
            let error = bound.log_prob.std(true).double_value(&[]) / 4000.0_f64.sqrt();
            (bound.log_prob.mean(Kind::Double).double_value(&[]), error)
        };
        let (one, many) = (mean(1), mean(20));
        assert!(one.0 < exact + 3.0 * one.1, "{name}: {one:?} above {exact}");
        assert!(many.0 > one.0 && many.0 < exact + 4.0 * many.1, "{name}: {one:?}, {many:?}");
        assert!(exact - many.0 < 0.02, "{name}: {many:?} far below {exact}");
    }
    assert!(Dequantizer::new(Dequantization::Uniform, 1.0, 0.0, 1.0).is_err());
}
