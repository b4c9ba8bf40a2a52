//! Likelihood of reconstructions, on fields with closed forms.

use maxlik_model::{Batch, Objective, VectorField};
use maxlik_objectives::transport::Reconstruction;
use maxlik_ode::{Solver, tableau};
use maxlik_tensor::Result;
use maxlik_testkit::{distance, normal};
use proptest::prelude::{ProptestConfig, proptest};
use tch::{Kind, Tensor};

/// `v = a x + b`.
#[derive(Debug)]
struct Linear {
    rate: Tensor,
    shift: Tensor,
}

impl Linear {
    fn new(rate: f64, shift: f64) -> Self {
        Self { rate: Tensor::from(rate), shift: Tensor::from(shift) }
    }
}

impl VectorField for Linear {
    fn velocity(&self, _t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x * &self.rate + &self.shift)
    }
}

fn objective(rate: f64, coarse: usize) -> Reconstruction {
    let fine = Solver::fixed(tableau::RK4, 50).unwrap();
    let coarse = Solver::fixed(tableau::EULER, coarse).unwrap();
    Reconstruction::new(Linear::new(rate, 0.0), fine, coarse, 0.5).unwrap()
}

/// For `v = a x`, `N` Euler steps are `(1 + a/N)^N`: value and gradient in closed form.
#[test]
fn euler_steps_of_a_linear_field_are_a_power() {
    let (rate, steps) = (0.7_f64, 4);
    let x = normal(1, &[9, 2]);
    let objective = objective(rate, steps);
    let latent = objective.encode(&Batch::new(x.shallow_clone())).unwrap();
    assert!(distance(&latent, &(&x * (-rate).exp())) < 1e-7);
    let n = steps as f64;
    let a = 0.4_f64;
    let model = Linear { rate: Tensor::from(a).set_requires_grad(true), shift: Tensor::from(0.0) };
    let power = (1.0 + a / n).powi(4);
    assert!(distance(&objective.decode(&model, &x, None).unwrap().detach(), &(&x * power)) < 1e-12);
    let loss = objective.loss(&model as &dyn VectorField, &Batch::new(x.shallow_clone())).unwrap();
    let square = x.square().sum(Kind::Double).double_value(&[]) / 9.0;
    let gap = 1.0 - power * (-rate).exp();
    let wanted = gap * gap * square / (2.0 * 0.25);
    assert!((loss.value.double_value(&[]) - wanted).abs() < 1e-7 * wanted);
    let slope =
        Tensor::run_backward(&[loss.value], &[&model.rate], false, false)[0].double_value(&[]);
    let exact = -2.0 * gap * (-rate).exp() * (1.0 + a / n).powi(3) * square / (2.0 * 0.25);
    assert!((slope - exact).abs() < 1e-6 * exact.abs(), "{slope} {exact}");
}

/// With the teacher itself the loss falls as the square of Euler's error, h².
#[test]
fn the_exact_field_is_reconstructed_at_the_order_of_its_solver() {
    let batch = Batch::new(normal(2, &[9, 2]));
    let loss = |steps| {
        let value = objective(0.7, steps).loss(&Linear::new(0.7, 0.0) as &dyn VectorField, &batch);
        value.unwrap().value.double_value(&[])
    };
    let order = (loss(40) / loss(80)).log2();
    assert!((order - 2.0).abs() < 0.1, "{order}");
}

/// With independent latents the best decoder forgets them and says the mean: why pairing matters.
#[test]
fn independent_latents_collapse_to_the_mean() {
    let rows = 4000;
    let data = normal(3, &[rows, 1]) * 0.5 + 2.0;
    let (batch, latent) = (Batch::new(data.shallow_clone()), normal(4, &[rows, 1]));
    let objective = objective(0.0, 1);
    // One Euler step: x₀ ↦ (1 + a) x₀ + b. Least squares by its normal equations.
    let loss = |a: f64, b: f64| {
        let each = objective.loss_at(&Linear::new(a, b), &batch, &latent).unwrap();
        each.mean(Kind::Double).double_value(&[])
    };
    let (mean, least) = (data.mean(Kind::Double).double_value(&[]), loss(-1.0, 2.0));
    assert!((mean - 2.0).abs() < 0.05);
    for (a, b) in [(-0.8, 2.0), (-1.2, 2.0), (-1.0, 1.8), (-1.0, 2.2), (-0.5, 2.0)] {
        assert!(loss(a, b) > least + 0.01, "{a} {b}");
    }
    let paired = objective.loss(&Linear::new(0.0, 0.0) as &dyn VectorField, &batch).unwrap();
    assert!(paired.value.double_value(&[]) < 1e-12);
}

/// `v = a x + δ sin 5x`, a field that is off `a x` by at most `δ`.
#[derive(Debug)]
struct Off {
    rate: f64,
    delta: f64,
}

impl VectorField for Off {
    fn velocity(&self, _t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x * self.rate + (x * 5.0).f_sin()? * self.delta)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Gronwall's bound of what the sampler is off by: `e^L (|e₀| + Σ (δ τ + M τ²/2))` for a field off by
    /// at most `δ` from one with Lipschitz constant `L`, whose paths have second derivatives up to `M`.
    #[test]
    fn errors_of_the_sampler_are_bounded(
        rate in -1.5_f64..1.5,
        delta in 0.0_f64..0.3,
        start in -0.2_f64..0.2,
        steps in 1_usize..12,
    ) {
        let x = normal(7, &[20, 1]);
        let off = Off { rate, delta };
        let found = objective(0.0, steps).decode(&off, &(&x + start), None).unwrap();
        let error = (found - &x * rate.exp()).abs();
        // |d²x/dt²| = a² |x(t)|, largest at one of the ends.
        let second = x.abs() * (rate * rate * rate.exp().max(1.0));
        let step = 1.0 / steps as f64;
        let bound = (second * (0.5 * step) + delta + start.abs()) * rate.abs().exp();
        assert!((bound - error).min().double_value(&[]) > -1e-12);
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let solver = || Solver::fixed(tableau::EULER, 2).unwrap();
    let field = Linear::new(0.0, 0.0);
    assert!(Reconstruction::new(field, solver(), solver(), 0.0).is_err());
    let batch = Batch::new(normal(1, &[3, 2]));
    let wrong = objective(0.1, 2).loss_at(&Linear::new(0.0, 0.0), &batch, &normal(1, &[2, 2]));
    assert_eq!(wrong.unwrap_err().to_string(), "latent: expected shape [3, 2], got [2, 2]");
}
