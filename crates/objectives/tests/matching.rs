use maxlik_model::{Batch, Objective, VectorField};
use maxlik_objectives::transport::{FlowMatching, Path};
use maxlik_tensor::{Result, with_seed};
use maxlik_testkit::{Support, distance, normal};
use proptest::prelude::*;
use tch::{Kind, Tensor};

const PATHS: [Path; 5] = [
    Path::Straight { sigma: 0.0 },
    Path::Straight { sigma: 0.3 },
    Path::Target { sigma: 0.1 },
    Path::VariancePreserving { sigma: 0.2 },
    Path::Bridge { sigma: 0.5 },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The velocity is the path's time derivative with its ends and noise held fixed.
    #[test]
    fn velocities_are_derivatives(seed in 0_u64..1 << 40) {
        let (x0, x1, noise) = (normal(seed, &[6, 2, 2]), normal(seed + 1, &[6, 2, 2]), normal(seed + 2, &[6, 2, 2]));
        let t = Support::Interval(0.1, 0.9).draw(seed + 3, 6, &[]);
        for path in PATHS {
            let x = |t: &Tensor| path.at(t, &x0, &x1, &noise).unwrap().x;
            let h = 1e-6;
            let slope = (x(&(&t + h)) - x(&(&t - h))) / (2.0 * h);
            let velocity = path.at(&t, &x0, &x1, &noise).unwrap().velocity;
            prop_assert!(distance(&slope, &velocity) < 1e-7, "{path:?}");
        }
    }

    /// Without noise the paths run from the source to the data.
    #[test]
    fn paths_join_their_ends(seed in 0_u64..1 << 40) {
        let (x0, x1) = (normal(seed, &[5, 3]), normal(seed + 1, &[5, 3]));
        let noise = x0.zeros_like();
        for path in PATHS {
            let at = |t: f64| path.at(&Tensor::full([5], t, tch::kind::DOUBLE_CPU), &x0, &x1, &noise).unwrap().x;
            prop_assert!(distance(&at(1.0), &x1) < 1e-12, "{path:?}");
            if !matches!(path, Path::Target { .. }) {
                prop_assert!(distance(&at(0.0), &x0) < 1e-12, "{path:?}");
            }
        }
    }
}

/// The velocity of the straight path from N(0, 1) to N(m, s²), scaled by a factor.
#[derive(Debug)]
struct Exact {
    mean: f64,
    std: f64,
    factor: Tensor,
}

impl VectorField for Exact {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        // x_t is normal with mean t m and variance v = (1−t)² + t² s²; E[x₁ − x₀ | x_t] in closed form.
        let t = t.f_unsqueeze(-1)?;
        let rest: Tensor = 1.0 - &t;
        let variance = &rest * &rest + &t * &t * (self.std * self.std);
        let slope = (&t * (self.std * self.std) - &rest) / variance;
        Ok((slope * (x - &t * self.mean) + self.mean) * &self.factor)
    }
}

/// The marginal velocity is the minimiser: the gradient of the loss vanishes there in the mean, and
/// does not elsewhere.
#[test]
fn the_marginal_velocity_is_the_minimiser() {
    let rows = 100_000;
    let (mean, std) = (0.7, 0.5);
    let data = normal(1, &[rows, 1]) * std + mean;
    let (source, noise) = (normal(2, &[rows, 1]), normal(3, &[rows, 1]));
    let t = Support::Interval(0.0, 1.0).draw(4, rows, &[]);
    let objective = FlowMatching::new(Path::Straight { sigma: 0.0 }).unwrap();
    let z = |factor: f64| {
        let h = 1e-4;
        let loss = |f: f64| {
            let model = Exact { mean, std, factor: Tensor::from(f) };
            objective
                .loss_at(&model, &Batch::new(data.shallow_clone()), &t, &source, &noise)
                .unwrap()
        };
        let slope = (loss(factor + h) - loss(factor - h)) / (2.0 * h);
        let error = slope.std(true) / (rows as f64).sqrt();
        (slope.mean(Kind::Double) / error).double_value(&[])
    };
    assert!(z(1.0).abs() < 5.0, "{}", z(1.0));
    assert!(z(1.1) > 20.0 && z(0.9) < -20.0);
}

#[test]
fn losses_are_finite_and_wrong_numbers_are_refused() {
    let model = Exact { mean: 0.0, std: 1.0, factor: Tensor::from(1.0) };
    let batch = Batch::new(normal(1, &[50, 1]));
    for path in PATHS {
        let objective = FlowMatching::new(path).unwrap();
        let value =
            with_seed(5, || objective.loss(&model as &dyn VectorField, &batch).unwrap().value);
        assert!(value.double_value(&[]).is_finite() && value.dim() == 0, "{path:?}");
    }
    for path in
        [Path::Straight { sigma: -1.0 }, Path::Target { sigma: 0.0 }, Path::Bridge { sigma: 0.0 }]
    {
        assert!(
            FlowMatching::new(path).unwrap_err().to_string().starts_with("sigma: expected"),
            "{path:?}"
        );
    }
    let empty = Batch::new(normal(1, &[0, 1]));
    let objective = FlowMatching::new(PATHS[0]).unwrap();
    assert!(objective.loss(&model as &dyn VectorField, &empty).is_err());
    let wrong =
        objective.loss_at(&model, &batch, &normal(2, &[50]), &normal(3, &[49, 1]), &batch.data);
    assert_eq!(wrong.unwrap_err().to_string(), "source: expected shape [50, 1], got [49, 1]");
}

/// `v = a x + b t + c`, whose loss is smooth in its numbers.
#[derive(Debug)]
struct Affine([f64; 3]);

impl VectorField for Affine {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x * self.0[0] + t.view([-1, 1]) * self.0[1] + self.0[2])
    }
}

/// The conditional loss has the gradient of the marginal one, for the exact marginal velocity of three
/// data points: `u = Σ w_k (x_k − x)/(1 − t)/Σ w_k`, `w_k = N(x; t x_k, (1 − t)²)`.
#[test]
fn conditional_and_marginal_gradients_agree() {
    let rows = 60_000;
    let points = [-1.0, 0.3, 2.0];
    let pick = with_seed(1, || Tensor::randint(3, [rows], (Kind::Int64, tch::Device::Cpu)));
    let data = Tensor::from_slice(&points).index_select(0, &pick).view([rows, 1]);
    let source = normal(2, &[rows, 1]);
    let t = Support::Interval(0.0, 0.9).draw(3, rows, &[]);
    let (time, rest) = (t.view([rows, 1]), 1.0 - t.view([rows, 1]));
    let x = &source * &rest + &data * &time;
    let weights: Vec<Tensor> =
        points.iter().map(|&p| (((&x - &time * p) / &rest).square() * -0.5).exp()).collect();
    let total = weights.iter().fold(x.zeros_like(), |sum, w| sum + w);
    let flows = points.iter().zip(&weights).map(|(&p, w)| w * (p - &x) / &rest);
    let marginal = flows.fold(x.zeros_like(), |sum, u| sum + u) / total;

    let objective = FlowMatching::new(Path::Straight { sigma: 0.0 }).unwrap();
    let batch = Batch::new(data);
    let start = [0.4, -0.2, 0.1];
    for which in 0..3 {
        let slope = |loss: &dyn Fn(&Affine) -> Tensor| {
            let h = 1e-4;
            let at = |step: f64| {
                let mut numbers = start;
                numbers[which] += step;
                loss(&Affine(numbers))
            };
            (at(h) - at(-h)) / (2.0 * h)
        };
        let conditional =
            slope(&|model| objective.loss_at(model, &batch, &t, &source, &source).unwrap());
        let exact =
            slope(&|model| (model.velocity(&t, &x, None).unwrap() - &marginal).square().squeeze());
        let gap = &conditional - &exact;
        let error = gap.std(true) / (rows as f64).sqrt();
        let z = (gap.mean(Kind::Double) / error).double_value(&[]);
        assert!(z.abs() < 5.0, "{which}: {z}");
        assert!(exact.mean(Kind::Double).double_value(&[]).abs() > 1e-2);
        assert!(distance(&conditional, &exact) > 1e-2);
    }
}

/// The target path without noise at the data is the straight path from its own noise, and the
/// bridge's spread is that of a Brownian bridge.
#[test]
fn paths_are_each_others_limits() {
    let (x0, x1) = (normal(1, &[6, 2]), normal(2, &[6, 2]));
    let t = Support::Interval(0.1, 0.9).draw(3, 6, &[]);
    let target = Path::Target { sigma: 0.0 }.at(&t, &x1, &x1, &x0).unwrap();
    let straight = Path::Straight { sigma: 0.0 }.at(&t, &x0, &x1, &x1).unwrap();
    assert!(distance(&target.x, &straight.x) < 1e-14);
    assert!(distance(&target.velocity, &straight.velocity) < 1e-14);
    let bridge = Path::Bridge { sigma: 0.7 };
    let spread = bridge.at(&t, &x0, &x1, &x0.ones_like()).unwrap().x
        - bridge.at(&t, &x0, &x1, &x0.zeros_like()).unwrap().x;
    let wanted = (&t - t.square()).sqrt().view([6, 1]) * 0.7;
    assert!(distance(&spread, &(x0.ones_like() * wanted)) < 1e-14);
    for path in PATHS {
        let (one, zero) = (x0.ones_like(), x0.zeros_like());
        let spread =
            path.at(&t, &x0, &x1, &one).unwrap().x - path.at(&t, &x0, &x1, &zero).unwrap().x;
        let std = path.std(&t).unwrap().view([6, 1]) * &one;
        assert!(distance(&spread, &std) < 1e-14, "{path:?}");
    }
}
