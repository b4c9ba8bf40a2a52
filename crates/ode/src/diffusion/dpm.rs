//! Exponential integrators for diffusion ODEs.

use super::Schedule;
use maxlik_model::VectorField;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// DPM-Solver: the linear part of the probability-flow ODE is integrated exactly, and the noise
/// prediction `ε` is expanded in `λ = ln(α/σ)`, over
/// `x_t = (α_t/α_s) x_s − α_t ∫ e^{−λ} ε dλ` (Lu, Zhou, Bao, Chen, Li and Zhu 2022, "DPM-Solver",
/// arXiv:2206.00927, eqs. 3.4 and 4.1, algorithms 1 and 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DpmSolver {
    /// Order 1, one evaluation a step: DDIM.
    First,
    /// Order 2, two evaluations a step.
    Second,
    /// Order 3, three evaluations a step.
    Third,
    /// Order 2 in the data prediction `(x − σ ε)/α` with one evaluation a step, from the last two
    /// (Lu et al. 2022, "DPM-Solver++", arXiv:2211.01095, algorithm 2).
    Multistep,
}

/// A state with what is known of its time.
struct At {
    t: f64,
    lambda: f64,
    alpha: f64,
    sigma: f64,
}

impl DpmSolver {
    /// Solves from `x` `[B, …]` at time `from` to time `to` in steps of equal size in `λ`; `network`
    /// predicts the noise. Gradients flow through all steps.
    ///
    /// # Errors
    /// [`Error::Config`] for times outside of `(0, 1]` or no steps, and those of the network.
    pub fn solve(
        self,
        schedule: Schedule,
        network: &dyn VectorField,
        x: &Tensor,
        context: Option<&Tensor>,
        (from, to): (f64, f64),
        steps: usize,
    ) -> Result<Tensor> {
        if steps == 0 {
            return Err(Error::config("steps", "expected at least one"));
        }
        for t in [from, to] {
            if !(t > 0.0 && t <= 1.0) {
                return Err(Error::config("times", format!("expected times in (0, 1], got {t}")));
            }
        }
        let problem = Problem { schedule, network, context };
        let (first, last) = (problem.at_time(from)?.lambda, problem.at_time(to)?.lambda);
        let mut now = problem.at_time(from)?;
        let mut x = x.shallow_clone();
        let mut before: Option<(f64, Tensor)> = None;
        for step in 1..=steps {
            let part = step as f64 / steps as f64;
            let next = if step == steps {
                problem.at_time(to)?
            } else {
                problem.at(first + (last - first) * part)?
            };
            x = match self {
                Self::First => problem.first(&x, &now, &next)?,
                Self::Second => problem.second(&x, &now, &next)?,
                Self::Third => problem.third(&x, &now, &next)?,
                Self::Multistep => {
                    let data = problem.data(&x, &now)?;
                    let end = problem.multistep(&x, &now, &next, &data, before.as_ref())?;
                    before = Some((next.lambda - now.lambda, data));
                    end
                }
            };
            now = next;
        }
        Ok(x)
    }
}

struct Problem<'a> {
    schedule: Schedule,
    network: &'a dyn VectorField,
    context: Option<&'a Tensor>,
}

impl Problem<'_> {
    fn at_time(&self, t: f64) -> Result<At> {
        let time = Tensor::f_from_slice(&[t])?;
        let alpha = maxlik_tensor::host::scalar(&self.schedule.alpha(&time)?)?;
        let sigma = maxlik_tensor::host::scalar(&self.schedule.sigma(&time)?)?;
        Ok(At { t, lambda: (alpha / sigma).ln(), alpha, sigma })
    }

    fn at(&self, lambda: f64) -> Result<At> {
        self.at_time(self.schedule.time_of(lambda))
    }

    fn noise(&self, x: &Tensor, at: &At) -> Result<Tensor> {
        let t = Tensor::f_full([x.size()[0]], at.t, (Kind::Double, x.device()))?;
        self.network.velocity(&t.f_to_kind(x.kind())?, x, self.context)
    }

    fn data(&self, x: &Tensor, at: &At) -> Result<Tensor> {
        let noise = self.noise(x, at)?;
        Ok(x.f_sub(&noise.f_mul_scalar(at.sigma)?)?.f_mul_scalar(1.0 / at.alpha)?)
    }

    /// `(α_t/α_s) x − Σ wᵢ εᵢ`.
    fn combine(&self, x: &Tensor, from: &At, to: &At, terms: &[(f64, &Tensor)]) -> Result<Tensor> {
        let mut sum = x.f_mul_scalar(to.alpha / from.alpha)?;
        for (weight, term) in terms {
            sum = sum.f_sub(&term.f_mul_scalar(*weight)?)?;
        }
        Ok(sum)
    }

    fn first(&self, x: &Tensor, from: &At, to: &At) -> Result<Tensor> {
        let grow = (to.lambda - from.lambda).exp_m1();
        let noise = self.noise(x, from)?;
        self.combine(x, from, to, &[(to.sigma * grow, &noise)])
    }

    fn second(&self, x: &Tensor, from: &At, to: &At) -> Result<Tensor> {
        let h = to.lambda - from.lambda;
        let middle = self.at(from.lambda + 0.5 * h)?;
        let noise = self.noise(x, from)?;
        let inner =
            self.combine(x, from, &middle, &[(middle.sigma * (0.5 * h).exp_m1(), &noise)])?;
        let noise = self.noise(&inner, &middle)?;
        // With r = ½ the two terms of the paper join to the noise at the middle.
        self.combine(x, from, to, &[(to.sigma * h.exp_m1(), &noise)])
    }

    fn third(&self, x: &Tensor, from: &At, to: &At) -> Result<Tensor> {
        let h = to.lambda - from.lambda;
        let (r1, r2) = (1.0 / 3.0, 2.0 / 3.0);
        let (one, two) = (self.at(from.lambda + r1 * h)?, self.at(from.lambda + r2 * h)?);
        let noise = self.noise(x, from)?;
        let u1 = self.combine(x, from, &one, &[(one.sigma * (r1 * h).exp_m1(), &noise)])?;
        let d1 = self.noise(&u1, &one)?.f_sub(&noise)?;
        let grow = (r2 * h).exp_m1();
        let bend = two.sigma * r2 / r1 * (grow / (r2 * h) - 1.0);
        let u2 = self.combine(x, from, &two, &[(two.sigma * grow, &noise), (bend, &d1)])?;
        let d2 = self.noise(&u2, &two)?.f_sub(&noise)?;
        let grow = h.exp_m1();
        let bend = to.sigma / r2 * (grow / h - 1.0);
        self.combine(x, from, to, &[(to.sigma * grow, &noise), (bend, &d2)])
    }

    /// `x_t = (σ_t/σ_s) x_s − α_t (e^{−h} − 1) D`, `D` from this and the last data prediction.
    fn multistep(
        &self,
        x: &Tensor,
        from: &At,
        to: &At,
        data: &Tensor,
        before: Option<&(f64, Tensor)>,
    ) -> Result<Tensor> {
        let h = to.lambda - from.lambda;
        let guess = match before {
            None => data.shallow_clone(),
            Some((last, old)) => {
                let weight = 0.5 * h / last;
                data.f_mul_scalar(1.0 + weight)?.f_sub(&old.f_mul_scalar(weight)?)?
            }
        };
        let kept = x.f_mul_scalar(to.sigma / from.sigma)?;
        Ok(kept.f_sub(&guess.f_mul_scalar(to.alpha * (-h).exp_m1())?)?)
    }
}

impl Schedule {
    /// The time at which `ln(α/σ)` has that value.
    #[must_use]
    pub fn time_of(self, lambda: f64) -> f64 {
        match self {
            // σ/α = tan φ = e^{−λ}.
            Self::Cosine { end } => (-lambda).exp().atan() / (std::f64::consts::FRAC_PI_2 * end),
            Self::VarianceExploding { sigma_min, sigma_max } => {
                let rate = 2.0 * (sigma_max / sigma_min).ln();
                (-2.0 * (lambda + sigma_min.ln())).exp().ln_1p() / rate
            }
            Self::VariancePreserving { beta_min, beta_max } => {
                // α² = sigmoid(2λ).
                let log_alpha = -0.5 * (-2.0 * lambda).exp().ln_1p();
                time_of_log_alpha(log_alpha, beta_min, beta_max)
            }
            Self::SubVariancePreserving { beta_min, beta_max } => {
                // α/(1 − α²) = e^λ.
                let ratio = lambda.exp();
                let alpha = 2.0 * ratio / (1.0 + (1.0 + 4.0 * ratio * ratio).sqrt());
                time_of_log_alpha(alpha.ln(), beta_min, beta_max)
            }
        }
    }
}

/// The root of `½ (β₁ − β₀) t² + β₀ t + 2 ln α = 0`.
fn time_of_log_alpha(log_alpha: f64, beta_min: f64, beta_max: f64) -> f64 {
    let integral = -2.0 * log_alpha;
    let slope = beta_max - beta_min;
    2.0 * integral / (beta_min + (beta_min * beta_min + 2.0 * slope * integral).sqrt())
}
