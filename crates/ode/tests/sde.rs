//! Stochastic solvers: Brownian motion, strong and weak orders, divergences, reverse processes.

use crate::problems::ones;
use crate::{distance, normal, slope, vector};
use maxlik_ode::diffusion::{Schedule, TimeScore};
use maxlik_ode::sde::{
    Brownian, BrownianTree, Convention, Converted, Increment, NoiseShape, ReverseSde, Scheme, Sde,
    SdeSolver, SharedSde, WithKl, solve_reversible,
};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, grad};
use proptest::prelude::*;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

fn tree(seed: u64, shape: &[i64]) -> BrownianTree {
    BrownianTree::new(seed, shape, DOUBLE_CPU, (0.0, 1.0)).unwrap()
}

fn std(x: &Tensor) -> f64 {
    x.std(false).double_value(&[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn increments_add_up_in_any_order(seed in 0_u64..1 << 40, a in 0.0_f64..1.0, b in 0.0_f64..1.0, c in 0.0_f64..1.0) {
        let (first, second) = (tree(seed, &[3, 2]), tree(seed, &[3, 2]));
        let whole = first.increment(a, c).unwrap();
        // The other tree is asked other things before.
        let right = second.increment(b, c).unwrap();
        let left = second.increment(a, b).unwrap();
        prop_assert!(distance(&whole.w, &(&left.w + &right.w)) < 1e-9);
        // ∫ from a to c of W − W(a), by parts.
        let sum = left.i10(b - a).unwrap() + right.i10(c - b).unwrap() + &left.w * (c - b);
        prop_assert!(distance(&whole.i10(c - a).unwrap(), &sum) < 1e-8);
        let back = first.increment(c, a).unwrap();
        prop_assert!(distance(&back.w, &-whole.w) < 1e-12);
    }
}

#[test]
fn increments_have_their_law() {
    let motion = tree(3, &[20_000, 1]);
    for (s, t) in [(0.0, 1.0), (0.25, 0.5), (0.3, 0.71), (0.5, 0.501)] {
        let Increment { w, area } = motion.increment(s, t).unwrap();
        let h: f64 = t - s;
        assert!((std(&w) / h.sqrt() - 1.0).abs() < 0.02, "{s} to {t}");
        assert!((std(&area) / (h / 12.0).sqrt() - 1.0).abs() < 0.02, "{s} to {t}");
        let correlation =
            (&w * &area).mean(Kind::Double).double_value(&[]) / (std(&w) * std(&area));
        assert!(correlation.abs() < 0.03, "{correlation}");
    }
    let (a, b) = (motion.increment(0.1, 0.4).unwrap(), motion.increment(0.4, 0.7).unwrap());
    for (x, y) in [(&a.w, &b.w), (&a.area, &b.area), (&a.area, &b.w)] {
        let correlation = (x * y).mean(Kind::Double).double_value(&[]) / (std(x) * std(y));
        assert!(correlation.abs() < 0.03, "{correlation}");
    }
    assert!(motion.increment(0.5, 1.1).is_err());
    assert!(BrownianTree::new(1, &[1], DOUBLE_CPU, (1.0, 1.0)).is_err());
    let single =
        BrownianTree::new(3, &[20_000, 1], (Kind::Float, tch::Device::Cpu), (0.0, 1.0)).unwrap();
    assert!(
        distance(&single.increment(0.3, 0.7).unwrap().w, &motion.increment(0.3, 0.7).unwrap().w)
            < 1e-5
    );
}

/// Geometric motion `dx = μ x dt + σ x dW`.
#[derive(Debug, Clone, Copy)]
struct Geometric {
    mu: f64,
    sigma: f64,
    noise: NoiseShape,
}

impl Sde for Geometric {
    fn noise(&self) -> NoiseShape {
        self.noise
    }
    fn convention(&self) -> Convention {
        Convention::Ito
    }
    fn drift(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
        Ok(y * self.mu)
    }
    fn diffusion(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let g = y * self.sigma;
        Ok(match self.noise {
            NoiseShape::General(_) => g.diag_embed(0, -2, -1),
            _ => g,
        })
    }
}

impl Geometric {
    fn exact(&self, w: &Tensor) -> Tensor {
        ((w * self.sigma) + (self.mu - 0.5 * self.sigma * self.sigma)).exp()
    }
}

const GEOMETRIC: Geometric = Geometric { mu: 0.3, sigma: 0.6, noise: NoiseShape::Diagonal };

/// `dx = sin(2x) dt + (2 + ½ cos 3t) dW`.
#[derive(Debug)]
struct Pushed;

impl Sde for Pushed {
    fn noise(&self) -> NoiseShape {
        NoiseShape::Additive
    }
    fn convention(&self) -> Convention {
        Convention::Ito
    }
    fn drift(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
        Ok((y * 2.0).sin())
    }
    fn diffusion(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        Ok(((t * 3.0).cos() * 0.5 + 2.0).view([-1, 1]) * y.ones_like())
    }
}

/// `dx₁ = dW₁`, `dx₂ = x₁ dW₂`, with two motions that do not commute.
#[derive(Debug)]
struct Area;

impl Sde for Area {
    fn noise(&self) -> NoiseShape {
        NoiseShape::General(2)
    }
    fn convention(&self) -> Convention {
        Convention::Ito
    }
    fn drift(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
        Ok(y.zeros_like())
    }
    fn diffusion(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
        Ok(Tensor::stack(&[y.ones_like().select(1, 0), y.select(1, 0)], 1).diag_embed(0, -2, -1))
    }
}

const STEPS: [usize; 4] = [8, 16, 32, 64];

#[track_caller]
fn check_strong(
    scheme: Scheme,
    order: f64,
    sde: &dyn Sde,
    y0: &Tensor,
    motion: &BrownianTree,
    exact: &Tensor,
) {
    let errors = STEPS.map(|n| {
        let solver = SdeSolver::new(scheme, n).unwrap();
        let end = solver.solve(sde, y0, &vector(&[0.0, 1.0]), motion).unwrap().select(0, -1);
        (end - exact).abs().mean(Kind::Double).double_value(&[])
    });
    let found = slope(&STEPS, &errors);
    assert!((found - order).abs() < 0.15, "{scheme:?}: {found}, not {order}: {errors:?}");
}

#[test]
fn strong_orders_for_multiplicative_noise() {
    let motion = tree(11, &[2000, 1]);
    let y0 = ones(2000, 1);
    let exact = GEOMETRIC.exact(&motion.increment(0.0, 1.0).unwrap().w);
    check_strong(Scheme::EulerMaruyama, 0.5, &GEOMETRIC, &y0, &motion, &exact);
    check_strong(Scheme::Milstein, 1.0, &GEOMETRIC, &y0, &motion, &exact);
    check_strong(Scheme::Srk, 1.5, &GEOMETRIC, &y0, &motion, &exact);
    let stratonovich = Converted(GEOMETRIC);
    check_strong(Scheme::Heun, 1.0, &stratonovich, &y0, &motion, &exact);
    check_strong(Scheme::Milstein, 1.0, &stratonovich, &y0, &motion, &exact);
    // Back again: the same equation.
    check_strong(Scheme::Milstein, 1.0, &Converted(stratonovich), &y0, &motion, &exact);
}

#[test]
fn strong_orders_for_additive_noise() {
    let motion = tree(5, &[1000, 1]);
    let y0 = ones(1000, 1);
    let fine = SdeSolver::new(Scheme::Sra1, 1024).unwrap();
    let exact = fine.solve(&Pushed, &y0, &vector(&[0.0, 1.0]), &motion).unwrap().select(0, -1);
    check_strong(Scheme::EulerMaruyama, 1.0, &Pushed, &y0, &motion, &exact);
    check_strong(Scheme::Sra1, 1.5, &Pushed, &y0, &motion, &exact);
    check_strong(Scheme::Srk, 1.5, &Pushed, &y0, &motion, &exact);
    let shared = SharedSde::new(Pushed);
    let errors = STEPS.map(|n| {
        let states =
            solve_reversible(&shared, &[], &y0, &vector(&[0.0, 1.0]), (&motion, n)).unwrap();
        (states.select(0, -1) - &exact).abs().mean(Kind::Double).double_value(&[])
    });
    let found = slope(&STEPS, &errors);
    assert!((found - 1.0).abs() < 0.15, "reversible Heun: {found}: {errors:?}");
}

#[test]
fn strong_orders_for_general_noise() {
    let motion = tree(8, &[2000, 2]);
    let y0 = Tensor::zeros([2000, 2], DOUBLE_CPU);
    let fine = SdeSolver::new(Scheme::EulerMaruyama, 4096).unwrap();
    let exact = fine.solve(&Area, &y0, &vector(&[0.0, 1.0]), &motion).unwrap().select(0, -1);
    check_strong(Scheme::EulerMaruyama, 0.5, &Area, &y0, &motion, &exact);
    check_strong(Scheme::Heun, 0.5, &Converted(Area), &y0, &motion, &exact);
}

#[test]
fn noise_shapes_agree() {
    let y0 = normal(1, &[6, 1]) + 2.0;
    let motion = tree(2, &[6, 1]);
    let times = vector(&[0.0, 0.3, 1.0]);
    for scheme in [Scheme::EulerMaruyama, Scheme::Milstein, Scheme::Srk, Scheme::Heun] {
        let run = |noise| {
            let sde = Geometric { noise, ..GEOMETRIC };
            let solver = SdeSolver::new(scheme, 5).unwrap();
            match scheme {
                Scheme::Heun => solver.solve(&Converted(sde), &y0, &times, &motion),
                _ => solver.solve(&sde, &y0, &times, &motion),
            }
        };
        let diagonal = run(NoiseShape::Diagonal).unwrap();
        assert!(distance(&diagonal, &run(NoiseShape::Scalar).unwrap()) < 1e-12);
        let general = run(NoiseShape::General(1));
        match scheme {
            Scheme::Milstein | Scheme::Srk => assert!(general.is_err()),
            _ => assert!(distance(&diagonal, &general.unwrap()) < 1e-12),
        }
    }
    let solver = SdeSolver::new(Scheme::Heun, 5).unwrap();
    let message = solver.solve(&GEOMETRIC, &y0, &times, &motion).unwrap_err().to_string();
    assert_eq!(message, "scheme: Heun does not solve equations of Ito: see Converted");
    assert!(
        SdeSolver::new(Scheme::Sra1, 5).unwrap().solve(&GEOMETRIC, &y0, &times, &motion).is_err()
    );
    assert!(SdeSolver::new(Scheme::Sra1, 0).is_err());
}

/// Nodes and weights of Gauss and Hermite's rule for a standard normal number.
const HERMITE: [(f64, f64); 7] = [
    (0.0, 0.457_142_857_142_857_1),
    (1.154_405_394_739_968, 0.240_123_178_605_012_73),
    (-1.154_405_394_739_968, 0.240_123_178_605_012_73),
    (2.366_759_410_734_541_4, 0.030_757_123_967_586_5),
    (-2.366_759_410_734_541_4, 0.030_757_123_967_586_5),
    (3.750_439_717_725_742, 0.000_548_268_855_972_218),
    (-3.750_439_717_725_742, 0.000_548_268_855_972_218),
];

/// Mean and second moment of one step from `x`, exact by quadrature over both motions.
fn moments(scheme: Scheme, sde: &dyn Sde, h: f64, x: f64) -> (f64, f64) {
    let (mut w, mut area, mut weight) = (Vec::new(), Vec::new(), Vec::new());
    for (a, p) in HERMITE {
        for (b, q) in HERMITE {
            w.push(a * h.sqrt());
            area.push(b * (h / 12.0).sqrt());
            weight.push(p * q);
        }
    }
    let column = |values: &[f64]| vector(values).view([-1, 1]);
    let increment = Increment { w: column(&w), area: column(&area) };
    let y = scheme.step(sde, 0.0, h, &(ones(49, 1) * x), &increment).unwrap();
    let weight = column(&weight);
    (
        (&y * &weight).sum(Kind::Double).double_value(&[]),
        (y.square() * weight).sum(Kind::Double).double_value(&[]),
    )
}

#[test]
fn weak_orders() {
    let steps = [16, 32, 64];
    let ito: &dyn Sde = &GEOMETRIC;
    let stratonovich: &dyn Sde = &Converted(GEOMETRIC);
    for (scheme, sde, order) in [
        (Scheme::EulerMaruyama, ito, 1.0),
        (Scheme::Milstein, ito, 1.0),
        (Scheme::Heun, stratonovich, 1.0),
    ] {
        // Linear: the moments of n steps are powers of those of one.
        let (mu, sigma) = (GEOMETRIC.mu, GEOMETRIC.sigma);
        let error = |n: usize| {
            let (mean, square) = moments(scheme, sde, 1.0 / n as f64, 1.0);
            let first = (mean.powi(n as i32) - mu.exp()).abs();
            (first, (square.powi(n as i32) - (2.0 * mu + sigma * sigma).exp()).abs())
        };
        let errors = steps.map(error);
        let second = slope(&steps, &errors.map(|e| e.1));
        assert!((second - order).abs() < 0.15, "{scheme:?}: {second}");
        let mean = slope(&steps, &errors.map(|e| e.0));
        // Heun's drift is of order two.
        assert!(mean > order - 0.15, "{scheme:?}: {mean}");
    }
    // dx = −x dt + dW, by the recursion of its variance.
    #[derive(Debug)]
    struct Decay;
    impl Sde for Decay {
        fn noise(&self) -> NoiseShape {
            NoiseShape::Additive
        }
        fn convention(&self) -> Convention {
            Convention::Ito
        }
        fn drift(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
            Ok(-y)
        }
        fn diffusion(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
            Ok(y.ones_like())
        }
    }
    for (scheme, order) in [(Scheme::EulerMaruyama, 1.0), (Scheme::Sra1, 2.0)] {
        let errors = steps.map(|n| {
            let h = 1.0 / n as f64;
            let (factor, added) =
                (moments(scheme, &Decay, h, 1.0).0, moments(scheme, &Decay, h, 0.0).1);
            let variance = (0..n).fold(0.0, |v, _| factor * factor * v + added);
            (variance - 0.5 * (1.0 - (-2.0_f64).exp())).abs()
        });
        let found = slope(&steps, &errors);
        assert!((found - order).abs() < 0.15, "{scheme:?}: {found}");
    }
}

#[test]
fn reversible_gradients_are_exact_and_need_no_steps() {
    let weight = (normal(4, &[2, 2]) * 0.5).set_requires_grad(true);
    #[derive(Debug)]
    struct Net(Tensor);
    impl Sde for Net {
        fn noise(&self) -> NoiseShape {
            NoiseShape::Diagonal
        }
        fn convention(&self) -> Convention {
            Convention::Stratonovich
        }
        fn drift(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
            Ok(y.matmul(&self.0).tanh() + t.view([-1, 1]))
        }
        fn diffusion(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
            Ok((y * self.0.get(0)).sin() * 0.5)
        }
    }
    let sde = SharedSde::new(Net(weight.shallow_clone()));
    let motion = tree(6, &[4, 2]);
    let times = vector(&[0.0, 0.4, 1.0]);
    let y0 = normal(7, &[4, 2]).set_requires_grad(true);
    let loss = |states: &Tensor| (states.sin() * normal(9, &states.size())).sum(Kind::Double);
    let run = |y0: &Tensor| {
        let parameters = [weight.shallow_clone()];
        loss(&solve_reversible(&sde, &parameters, y0, &times, (&motion, 12)).unwrap())
    };
    let found = grad(&[&run(&y0)], &[None], &[&y0, &weight], Graph::Free).unwrap();
    let h = 1e-6;
    for (input, found) in [&y0, &weight].into_iter().zip(found) {
        let found = found.unwrap().view([-1]);
        for entry in 0..input.numel() as i64 {
            let _no_grad = tch::no_grad_guard();
            let moved = |by: f64| {
                let _ = input.view([-1]).get(entry).g_add_scalar_(by);
                let value = run(&y0).double_value(&[]);
                let _ = input.view([-1]).get(entry).g_add_scalar_(-by);
                value
            };
            let wanted = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((found.double_value(&[entry]) - wanted).abs() < 1e-7);
        }
    }
    let ito = SharedSde::new(GEOMETRIC);
    assert!(solve_reversible(&ito, &[], &y0, &times, (&motion, 12)).is_err());
}

#[test]
fn gradients_flow_through_the_steps() {
    // x_T = x₀ e^{…}: the gradient by the start is the state itself over the start.
    let motion = tree(3, &[5, 1]);
    let y0 = (ones(5, 1) * 1.5).set_requires_grad(true);
    for scheme in [Scheme::EulerMaruyama, Scheme::Milstein, Scheme::Srk] {
        let solver = SdeSolver::new(scheme, 10).unwrap();
        let end =
            solver.solve(&GEOMETRIC, &y0, &vector(&[0.0, 1.0]), &motion).unwrap().select(0, -1);
        let found = grad(&[&end], &[None], &[&y0], Graph::Free).unwrap().pop().flatten().unwrap();
        assert!(distance(&found, &(&end / &y0)) < 1e-12, "{scheme:?}");
    }
}

#[test]
fn divergence_of_paths() {
    // Two drifts that differ by 0.7 g: KL = ½ · 0.49 · T, whatever the path.
    for noise in [NoiseShape::Diagonal, NoiseShape::Scalar, NoiseShape::General(1)] {
        let sde = Geometric { noise, ..GEOMETRIC };
        let prior = move |_t: &Tensor, y: &Tensor| Ok(y * (sde.mu - 0.7 * sde.sigma));
        let wide = match noise {
            NoiseShape::Diagonal => tree(1, &[3, 2]),
            _ => tree(1, &[3, 1]),
        };
        let start = Tensor::cat(&[ones(3, 1), Tensor::zeros([3, 1], DOUBLE_CPU)], 1);
        let solver = SdeSolver::new(Scheme::EulerMaruyama, 20).unwrap();
        let states =
            solver.solve(&WithKl::new(sde, prior), &start, &vector(&[0.0, 1.0]), &wide).unwrap();
        let kl = states.select(0, -1).select(1, 1);
        assert!(distance(&kl, &(ones(3, 1).view([3]) * 0.245)) < 1e-12, "{noise:?}");
    }
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

#[test]
fn reverse_processes_return_to_the_data() {
    for schedule in
        [Schedule::LINEAR, Schedule::VarianceExploding { sigma_min: 0.01, sigma_max: 5.0 }]
    {
        let score = NormalScore(schedule, 0.5);
        let prior = (schedule.alpha(&vector(&[1.0])).unwrap().square() * 0.25
            + schedule.sigma(&vector(&[1.0])).unwrap().square())
        .sqrt()
        .double_value(&[0]);
        let sde = ReverseSde { schedule, score, context: None };
        let motion = tree(4, &[4000, 1]);
        for scheme in [Scheme::EulerMaruyama, Scheme::Sra1] {
            let solver = SdeSolver::new(scheme, 128).unwrap();
            let start = normal(2, &[4000, 1]) * prior;
            let end =
                solver.solve(&sde, &start, &vector(&[1.0, 1e-3]), &motion).unwrap().select(0, -1);
            assert!((std(&end) - 0.5).abs() < 0.03, "{schedule:?}, {scheme:?}: {}", std(&end));
        }
    }
}
