//! The maximum-likelihood SDE solver of the voice-conversion paper.

use super::posterior;
use crate::diffusion::TimeScore;
use maxlik_tensor::{Error, Result, Seeds, with_seed};
use std::fmt;
use tch::{Kind, Tensor};

/// `dX = ½ β (X̄ − X) dt + √β dW`, `β = β₀ + (β₁ − β₀) t`, which pulls the data to the mean `X̄`:
/// with `γ(s, t) = e^{−½ ∫ β}`, `X_t | X_0 ~ N(γ X_0 + (1 − γ) X̄, (1 − γ²) I)` for `γ = γ(0, t)`
/// (Popov, Vovk, Gogoryan, Sadekova, Kudinov and Wei 2022, "Diffusion-based voice conversion with
/// fast maximum likelihood sampling scheme", arXiv:2109.13821, eqs. 1–3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoiceSde {
    /// `β₀`.
    pub beta_min: f64,
    /// `β₁`.
    pub beta_max: f64,
}

impl Default for VoiceSde {
    /// The paper's 0.05 and 20.
    fn default() -> Self {
        Self { beta_min: 0.05, beta_max: 20.0 }
    }
}

/// How a step goes back from `t` to `t − h`.
#[derive(Debug, Clone, Copy)]
pub enum VoiceStep<'a> {
    /// Euler and Maruyama's.
    EulerMaruyama,
    /// Euler's on the probability-flow ODE.
    ProbabilityFlow,
    /// The step that makes the paths of the forward process most likely (the paper's theorem 1):
    /// the mean is that of `X_s | X_t, X_0` with Tweedie's estimate in place of `X_0`.
    MaximumLikelihood(DataVariance<'a>),
}

/// The part of the optimal noise that comes from not knowing the data.
#[derive(Clone, Copy)]
pub enum DataVariance<'a> {
    /// Left out, as the paper's code does: the samples spread too little.
    Ignored,
    /// `(1/n) E tr Var(X_0 | X_t)` at `t`, as the theorem has it.
    Known(&'a dyn Fn(f64) -> f64),
}

impl fmt::Debug for DataVariance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignored => "Ignored",
            Self::Known(_) => "Known",
        })
    }
}

/// A step is `X_s = X_t + β h ((½ + ω)(X_t − X̄) + (1 + κ) score) + spread · ξ`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoiceCoefficients {
    /// `κ`.
    pub kappa: f64,
    /// `ω`.
    pub omega: f64,
    /// Standard deviation of the noise.
    pub spread: f64,
}

impl VoiceSde {
    /// `β(t)`.
    #[must_use]
    pub fn beta(&self, t: f64) -> f64 {
        self.beta_min + (self.beta_max - self.beta_min) * t
    }

    /// `ln γ(s, t) = −½ ∫ β`.
    #[must_use]
    pub fn log_decay(&self, s: f64, t: f64) -> f64 {
        -0.5 * (self.beta_min + 0.5 * (self.beta_max - self.beta_min) * (s + t)) * (t - s)
    }

    /// Mean and noise of `X_t | X_0`: weight of the data, weight of `X̄`, standard deviation.
    #[must_use]
    pub fn marginal(&self, t: f64) -> [f64; 3] {
        let log = self.log_decay(0.0, t);
        [log.exp(), -log.exp_m1(), (-(2.0 * log).exp_m1()).sqrt()]
    }

    /// The coefficients of a step from `t` to `t − h`; a step past 0 ends at 0.
    #[must_use]
    pub fn coefficients(&self, t: f64, h: f64, step: VoiceStep<'_>) -> VoiceCoefficients {
        let (s, rate) = ((t - h).max(0.0), self.beta(t) * h);
        match step {
            VoiceStep::EulerMaruyama => {
                VoiceCoefficients { kappa: 0.0, omega: 0.0, spread: rate.sqrt() }
            }
            VoiceStep::ProbabilityFlow => {
                VoiceCoefficients { kappa: -0.5, omega: 0.0, spread: 0.0 }
            }
            VoiceStep::MaximumLikelihood(variance) => {
                let (whole, early) = (self.log_decay(0.0, t), self.log_decay(0.0, s));
                let exact = posterior(whole, early);
                let noise = -(2.0 * whole).exp_m1();
                let kappa = exact.data * noise / (whole.exp() * rate) - 1.0;
                // (μ − 1)/(β h) + (1 + κ)/(1 − γ²) − ½, with the large terms joined first.
                let omega = (exact.state - 1.0 + exact.data / whole.exp()) / rate - 0.5;
                let unknown = match variance {
                    DataVariance::Ignored => 0.0,
                    DataVariance::Known(of) => of(t),
                };
                let spread = exact.std * exact.std + exact.data * exact.data * unknown;
                VoiceCoefficients { kappa, omega, spread: spread.sqrt() }
            }
        }
    }

    /// One step from `x` at `t` to `t − h`, with the score there and standard normal `noise`.
    ///
    /// # Errors
    /// LibTorch's, for shapes that do not fit.
    pub fn step(
        &self,
        x: &Tensor,
        mean: &Tensor,
        score: &Tensor,
        noise: &Tensor,
        (t, h, step): (f64, f64, VoiceStep<'_>),
    ) -> Result<Tensor> {
        let VoiceCoefficients { kappa, omega, spread } = self.coefficients(t, h, step);
        let rate = self.beta(t) * h;
        let pull = x.f_sub(mean)?.f_mul_scalar(rate * (0.5 + omega))?;
        let drawn = score.f_mul_scalar(rate * (1.0 + kappa))?;
        Ok(x.f_add(&pull)?.f_add(&drawn)?.f_add(&noise.f_mul_scalar(spread)?)?)
    }

    /// Samples from `x` `[B, …]` at time 1 in `steps` equal steps, with the mean `X̄` of each sample,
    /// which the score is conditioned on. Noise is a function of the seed and the step.
    ///
    /// # Errors
    /// [`Error::Config`] for no steps, and those of the score.
    pub fn sample(
        &self,
        score: &dyn TimeScore,
        x: &Tensor,
        mean: &Tensor,
        (steps, seed): (usize, u64),
        step: VoiceStep<'_>,
    ) -> Result<Tensor> {
        if steps == 0 {
            return Err(Error::config("steps", "expected at least one"));
        }
        let seeds = Seeds::new(seed).stream("voice");
        let h = 1.0 / steps as f64;
        let mut x = x.shallow_clone();
        for i in 0..steps {
            let t = 1.0 - i as f64 * h;
            let rows = Tensor::f_full([x.size()[0]], t, (x.kind(), x.device()))?;
            let found = score.score(&rows, &x, Some(mean))?;
            let noise = with_seed(seeds.at(i as u64), || {
                Tensor::f_randn(x.size(), (Kind::Double, tch::Device::Cpu))
            })?;
            let noise = noise.f_to_kind(x.kind())?.f_to_device(x.device())?;
            x = self.step(&x, mean, &found, &noise, (t, h, step))?;
        }
        Ok(x)
    }
}
