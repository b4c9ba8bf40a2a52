//! Likelihood objectives of diffusion models on normal data, where all is known.

use maxlik_model::{Batch, Density, Objective, VectorField};
use maxlik_objectives::diffusion::{Elbo, SecondOrder, Times, VelocityMatching};
use maxlik_ode::diffusion::{GammaOde, NoisePath};
use maxlik_ode::{Adaptive, Cnf, Gaussian, Solver, tableau};
use maxlik_tensor::{Result, with_seed};
use maxlik_testkit::{distance, normal};
use tch::{Device, Kind, Tensor};

const PATHS: [NoisePath; 2] = [NoisePath::VariancePreserving, NoisePath::Straight];

/// The best velocity for `x ~ N(0, s² I)`, `c(γ) z`, times a factor.
#[derive(Debug, Clone, Copy)]
struct Best {
    path: NoisePath,
    std: f64,
    factor: f64,
}

impl Best {
    /// `c(γ)` and the conditional variance of a coordinate of `F*`.
    fn moments(&self, gamma: &Tensor) -> (Tensor, Tensor) {
        let levels = self.path.levels(gamma).unwrap();
        let (a, s, v) = (levels.alpha, levels.sigma, self.std * self.std);
        let total = a.square() * v + s.square();
        match self.path {
            NoisePath::VariancePreserving => (&a * &s * (1.0 - v) / &total, v / total),
            NoisePath::Straight => ((&s - &a * v) / 2.0_f64.sqrt() / &total, 0.5 * v / total),
        }
    }
}

impl VectorField for Best {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x * self.moments(t).0.view([-1, 1]) * self.factor)
    }
}

fn matching(path: NoisePath, times: Times) -> VelocityMatching {
    VelocityMatching { path, g0: -13.3, g1: 5.0, times }
}

fn z(x: &Tensor) -> f64 {
    let rows = x.size()[0] as f64;
    (x.mean(Kind::Double) / (x.std(true) / rows.sqrt())).double_value(&[])
}

/// Both ways to draw noise levels have one mean; weights are constant under importance sampling, and
/// its rows vary less.
#[test]
fn importance_sampling_is_unbiased() {
    let rows = 40_000;
    let (data, noise) = (normal(1, &[rows, 2]) * 0.5, normal(2, &[rows, 2]));
    for path in PATHS {
        let model = Best { path, std: 0.5, factor: 0.7 };
        let each = |times| {
            let matching = matching(path, times);
            let gamma = Tensor::from_slice(&matching.gamma(0.3, rows).unwrap());
            let weight = matching.weight(&gamma).unwrap();
            let batch = Batch::new(data.shallow_clone());
            (matching.loss_at(&model, &batch, &gamma, &noise).unwrap(), weight)
        };
        let ((uniform, _), (important, weight)) = (each(Times::Uniform), each(Times::Importance));
        let error = (uniform.std(true).square() + important.std(true).square()).sqrt();
        let gap = uniform.mean(Kind::Double) - important.mean(Kind::Double);
        let gap = (gap / error * (rows as f64).sqrt()).double_value(&[]);
        assert!(gap.abs() < 5.0, "{path:?}: {gap}");
        assert!(weight.std(true).double_value(&[]) < 1e-12);
        assert!(important.std(true).double_value(&[]) < 0.8 * uniform.std(true).double_value(&[]));
    }
    // Endpoints and quartiles, evaluated with many digits.
    let gamma = matching(PATHS[0], Times::Importance).gamma(0.0, 4).unwrap();
    for (found, wanted) in gamma.iter().zip([-13.3, -9.976_633_6, -6.652_068_0, -3.293_588_9]) {
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    }
}

/// At the best velocity `σ div F = α (d − E‖F* − F‖²)` (and its like for straight paths): with the
/// conditional mean of the square the residual is zero, and drawn residuals average to it.
#[test]
fn the_second_order_residual_vanishes_at_the_best_velocity() {
    let rows = 40_000;
    let (data, noise) = (normal(3, &[rows, 2]) * 0.6, normal(4, &[rows, 2]));
    let probe = with_seed(5, || (Tensor::rand([1, rows, 2], tch::kind::DOUBLE_CPU) - 0.5).sign());
    for path in PATHS {
        // Where neither data nor noise is all: elsewhere the residual is mostly the noise of a square.
        let first = VelocityMatching { g0: -3.0, g1: 3.0, ..matching(path, Times::Importance) };
        let objective = SecondOrder { first, strength: 0.1 };
        let gamma = Tensor::from_slice(&objective.first.gamma(0.5, rows).unwrap());
        let batch = Batch::new(data.shallow_clone());
        let residual = |factor| {
            let model = Best { path, std: 0.6, factor };
            objective.loss_at(&model, &batch, &gamma, &noise, &probe).unwrap()
        };
        let best = residual(1.0);
        assert!(z(&best.residual).abs() < 5.0, "{path:?}: {}", z(&best.residual));
        assert!(z(&residual(1.5).residual).abs() > 10.0, "{path:?}");
        let first = objective.first;
        let wanted = first.loss_at(&Best { path, std: 0.6, factor: 1.0 }, &batch, &gamma, &noise);
        assert!(distance(&best.first, &wanted.unwrap()) < 1e-12);
        // Exactly: c σ d = α (d − d Var) with the closed forms.
        let (slope, variance) = Best { path, std: 0.6, factor: 1.0 }.moments(&gamma);
        let levels = path.levels(&gamma).unwrap();
        let right = match path {
            NoisePath::VariancePreserving => levels.alpha * (1.0 - variance),
            NoisePath::Straight => (1.0 - levels.alpha * 2.0 * variance) / 2.0_f64.sqrt(),
        };
        assert!(distance(&(slope * levels.sigma), &right) < 1e-9, "{path:?}");
    }
}

/// The gradient of the second-order term reaches the parameters through the divergence.
#[test]
fn the_second_order_loss_trains() {
    #[derive(Debug)]
    struct Scale(Tensor);
    impl VectorField for Scale {
        fn velocity(&self, _t: &Tensor, x: &Tensor, _c: Option<&Tensor>) -> Result<Tensor> {
            Ok((x * &self.0).tanh())
        }
    }
    let scale = Tensor::from(0.3).set_requires_grad(true);
    let first = matching(PATHS[0], Times::Importance);
    let batch = Batch::new(normal(1, &[16, 2]));
    let slope = |strength: f64| {
        let objective = SecondOrder { first, strength };
        let model = Scale(scale.shallow_clone());
        let loss = with_seed(3, || objective.loss(&model as &dyn VectorField, &batch)).unwrap();
        assert_eq!(loss.metrics.len(), 2);
        Tensor::run_backward(&[loss.value], &[&scale], false, false)[0].double_value(&[])
    };
    assert!((slope(0.1) - slope(0.0)).abs() > 1e-6);
    let model = Scale(scale.shallow_clone());
    let wrong = SecondOrder { first, strength: -1.0 };
    assert!(wrong.loss(&model as &dyn VectorField, &batch).is_err());
    let empty = VelocityMatching { g1: -14.0, ..first };
    assert!(empty.loss(&model as &dyn VectorField, &batch).is_err());
}

/// The bound is above the negative log-probability, which the ODE of the same velocity gives; the two
/// are close for the best velocity, and the bound grows for a wrong one.
#[test]
fn the_bound_is_above_the_negative_log_probability() {
    let rows = 20_000;
    let path = NoisePath::VariancePreserving;
    let levels = 9_i64;
    let grid = Tensor::arange(levels, tch::kind::DOUBLE_CPU) * 0.5 - 2.0;
    // The first noise level is about a bin: a normal's velocity is nearly the best for data on the grid.
    let data = ((normal(1, &[rows, 1]) * 0.8 * 2.0).round() / 2.0).clamp(-2.0, 2.0);
    let (noise, first) = (normal(2, &[rows, 1]), normal(3, &[rows, 1]));
    let diffusion = VelocityMatching { path, g0: -3.2, g1: 6.0, times: Times::Importance };
    let gamma = Tensor::from_slice(&diffusion.gamma(0.2, rows).unwrap());
    // Neighbours at once: the order of noise levels must not follow that of the data.
    let gamma =
        gamma.index_select(0, &with_seed(9, || Tensor::randperm(rows, (Kind::Int64, Device::Cpu))));
    let elbo = Elbo { diffusion, grid };
    let batch = Batch::new(data.shallow_clone());
    let bound = |factor| {
        let model = Best { path, std: 0.8, factor };
        let terms = elbo.terms_at(&model, &batch, &gamma, &noise, &first).unwrap();
        assert!(terms.reconstruction.min().double_value(&[]) >= 0.0);
        assert!(terms.prior.min().double_value(&[]) >= 0.0);
        let bits = terms.bits_per_dim(1).unwrap();
        bits.mean(Kind::Double).double_value(&[]) * std::f64::consts::LN_2
    };
    // The entropy of the data themselves.
    let mut entropy = 0.0;
    for k in 0..levels {
        let share = data.eq(k as f64 * 0.5 - 2.0).to_kind(Kind::Double).mean(Kind::Double);
        let share = share.double_value(&[]);
        entropy -= if share > 0.0 { share * share.ln() } else { 0.0 };
    }
    let (best, wrong) = (bound(1.0), bound(-2.0));
    assert!(best > entropy - 0.02 && wrong > best + 0.01, "{entropy} {best} {wrong}");
}

/// The ODE of the best velocity has the density of the noised data.
#[test]
fn the_same_network_is_a_density() {
    let path = NoisePath::VariancePreserving;
    let network = Best { path, std: 0.5, factor: 1.0 };
    let end = path.levels(&Tensor::from(5.0)).unwrap();
    let std = (end.alpha.square() * 0.25 + end.sigma.square()).sqrt().double_value(&[]);
    let base = Gaussian::new(&[2], std, Kind::Double, Device::Cpu).unwrap();
    let solver = Solver::adaptive(tableau::DOP853, Adaptive::new(1e-9, 1e-9)).unwrap();
    let flow = Cnf::new(GammaOde { path, network }, base, solver).times(5.0, -10.0);
    let start = path.levels(&Tensor::from(-10.0)).unwrap();
    let std = (start.alpha.square() * 0.25 + start.sigma.square()).sqrt().double_value(&[]);
    let exact = Gaussian::new(&[2], std, Kind::Double, Device::Cpu).unwrap();
    let x = normal(1, &[6, 2]) * 0.5;
    let gap = distance(&flow.log_prob(&x, None).unwrap(), &exact.log_prob(&x, None).unwrap());
    assert!(gap < 1e-6, "{gap}");
}
