//! The mean-reverting SDE of image restoration.

use super::posterior;
use maxlik_tensor::{Error, Result};
use std::f64::consts::PI;
use tch::Tensor;

/// `dx = θ (μ − x) dt + σ dW` with `σ² = 2 λ² θ`, on a grid of `T` steps: it carries a clean image
/// `x₀` to its degraded version `μ`, `x_t | x₀ ~ N(μ + (x₀ − μ) e^{−Θ_t}, λ² (1 − e^{−2Θ_t}) I)` with
/// `Θ_t = ∫ θ` (Luo, Gustafsson, Zhao, Sjölund and Schön 2023, "Image restoration with
/// mean-reverting stochastic differential equations", arXiv:2301.11699, proposition 3.1).
///
/// Times are the grid's indices, from 1 (the first noisy one) to `T`; index 0 is the data.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanReverting {
    theta: Vec<f64>,
    total: Vec<f64>,
    dt: f64,
    lambda: f64,
}

/// How a step goes back from index `k` to `k − 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageStep {
    /// Euler and Maruyama's on the reverse SDE.
    Sde,
    /// Euler's on the probability-flow ODE.
    Ode,
    /// The law of `x_{k−1} | x_k, x₀` with the estimate of `x₀` that the score gives.
    Posterior,
}

impl MeanReverting {
    /// The cosine schedule of the paper's code with `T` steps: `e^{−Θ_T} = eps` at the end, and the
    /// stationary standard deviation `lambda`.
    ///
    /// # Errors
    /// [`Error::Config`] for no steps, or numbers out of range.
    pub fn cosine(steps: usize, lambda: f64, eps: f64) -> Result<Self> {
        if steps == 0 {
            return Err(Error::config("steps", "expected at least one"));
        }
        if !(lambda > 0.0 && lambda.is_finite()) {
            let why = format!("expected a positive number, got {lambda}");
            return Err(Error::config("lambda", why));
        }
        if !(eps > 0.0 && eps < 1.0) {
            return Err(Error::config("eps", format!("expected a number in (0, 1), got {eps}")));
        }
        let n = steps as f64 + 2.0;
        let level = |i: usize| ((i as f64 / n + 0.008) / 1.008 * PI / 2.0).cos().powi(2);
        let theta: Vec<f64> = (0..=steps).map(|k| 1.0 - level(k + 1) / level(0)).collect();
        let mut sum = -theta[0];
        let total: Vec<f64> = theta
            .iter()
            .map(|t| {
                sum += t;
                sum
            })
            .collect();
        let dt = -eps.ln() / total[steps];
        Ok(Self { theta, total, dt, lambda })
    }

    /// `T`.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.theta.len() - 1
    }

    /// The step of time.
    #[must_use]
    pub fn dt(&self) -> f64 {
        self.dt
    }

    /// `θ` at an index.
    #[must_use]
    pub fn theta(&self, k: usize) -> f64 {
        self.theta.get(k).copied().unwrap_or(0.0)
    }

    /// `−Θ` at an index: the log of the weight of the data.
    fn log_weight(&self, k: usize) -> f64 {
        -self.total.get(k).copied().unwrap_or(0.0) * self.dt
    }

    /// `e^{−Θ}`: weight of the data in the mean at an index.
    #[must_use]
    pub fn weight(&self, k: usize) -> f64 {
        self.log_weight(k).exp()
    }

    /// `√v`, the standard deviation of the state at an index.
    #[must_use]
    pub fn std(&self, k: usize) -> f64 {
        self.lambda * (-(2.0 * self.log_weight(k)).exp_m1()).sqrt()
    }

    /// `m = μ + (x₀ − μ) e^{−Θ}`, the mean of the state at an index.
    ///
    /// # Errors
    /// As [`MeanReverting::check_index`].
    pub fn mean(&self, x0: &Tensor, mu: &Tensor, k: usize) -> Result<Tensor> {
        self.check_index(k)?;
        Ok(mu.f_add(&x0.f_sub(mu)?.f_mul_scalar(self.weight(k))?)?)
    }

    /// `x₀` from the state at an index and its noise `ε`, `x = m + √v ε`.
    ///
    /// # Errors
    /// As [`MeanReverting::check_index`].
    pub fn data(&self, x: &Tensor, mu: &Tensor, noise: &Tensor, k: usize) -> Result<Tensor> {
        self.check_index(k)?;
        let clean = x.f_sub(mu)?.f_sub(&noise.f_mul_scalar(self.std(k))?)?;
        Ok(mu.f_add(&clean.f_mul_scalar(1.0 / self.weight(k))?)?)
    }

    /// The state at `k − 1` that is most likely given that at `k` and the data: the target of the
    /// paper's objective (proposition 3.2).
    ///
    /// # Errors
    /// As [`MeanReverting::check_index`].
    pub fn optimal(&self, x: &Tensor, x0: &Tensor, mu: &Tensor, k: usize) -> Result<Tensor> {
        self.check_index(k)?;
        let exact = posterior(self.log_weight(k), self.log_weight(k - 1));
        let state = x.f_sub(mu)?.f_mul_scalar(exact.state)?;
        let data = x0.f_sub(mu)?.f_mul_scalar(exact.data)?;
        Ok(mu.f_add(&state)?.f_add(&data)?)
    }

    /// Standard deviation of the state at `k − 1` given that at `k` and the data.
    #[must_use]
    pub fn optimal_std(&self, k: usize) -> f64 {
        self.lambda * posterior(self.log_weight(k), self.log_weight(k.saturating_sub(1))).std
    }

    /// The mean of the step of the reverse SDE, `x − (θ (μ − x) − σ² s) dt` with the score
    /// `s = −ε/√v`: what the objective compares with [`MeanReverting::optimal`].
    ///
    /// # Errors
    /// As [`MeanReverting::check_index`].
    pub fn reverse_mean(
        &self,
        x: &Tensor,
        mu: &Tensor,
        noise: &Tensor,
        k: usize,
    ) -> Result<Tensor> {
        self.reverse(x, mu, noise, k, 1.0)
    }

    fn reverse(
        &self,
        x: &Tensor,
        mu: &Tensor,
        noise: &Tensor,
        k: usize,
        part: f64,
    ) -> Result<Tensor> {
        self.check_index(k)?;
        let theta = self.theta(k);
        let square = 2.0 * self.lambda * self.lambda * theta;
        let pull = mu.f_sub(x)?.f_mul_scalar(theta * self.dt)?;
        let score = noise.f_mul_scalar(-part * square * self.dt / self.std(k))?;
        Ok(x.f_sub(&pull)?.f_add(&score)?)
    }

    /// One step from `x` at index `k` to `k − 1`; `noise` is the prediction of `ε`, and `fresh`
    /// standard normal noise, which [`ImageStep::Ode`] does not look at.
    ///
    /// # Errors
    /// As [`MeanReverting::check_index`].
    pub fn step(
        &self,
        x: &Tensor,
        mu: &Tensor,
        noise: &Tensor,
        fresh: &Tensor,
        (k, step): (usize, ImageStep),
    ) -> Result<Tensor> {
        match step {
            ImageStep::Ode => self.reverse(x, mu, noise, k, 0.5),
            ImageStep::Sde => {
                let spread = self.lambda * (2.0 * self.theta(k) * self.dt).sqrt();
                let mean = self.reverse(x, mu, noise, k, 1.0)?;
                Ok(mean.f_add(&fresh.f_mul_scalar(spread)?)?)
            }
            ImageStep::Posterior => {
                let x0 = self.data(x, mu, noise, k)?;
                let mean = self.optimal(x, &x0, mu, k)?;
                Ok(mean.f_add(&fresh.f_mul_scalar(self.optimal_std(k))?)?)
            }
        }
    }

    /// Checks that `k` is an index of a noisy state.
    ///
    /// # Errors
    /// [`Error::Config`] for an index outside of `1..=T`.
    pub fn check_index(&self, k: usize) -> Result<()> {
        if (1..=self.steps()).contains(&k) {
            return Ok(());
        }
        let why = format!("expected an index from 1 to {}, got {k}", self.steps());
        Err(Error::config("k", why))
    }
}
