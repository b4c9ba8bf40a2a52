//! Noise augmentation, and the step that takes it off again.

use maxlik_model::Density;
use maxlik_tensor::autograd::{Graph, gradient, leaf, recorded};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Gaussian noise `y = x + σ ε` that a density is trained under, and that is taken off its samples
/// by Tweedie's formula `E[x | y] = y + σ² ∇ ln p(y)` (TARFlow, arXiv:2412.06329, section 2.4).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianNoise {
    std: f64,
}

impl GaussianNoise {
    /// Noise of standard deviation `std`.
    ///
    /// # Errors
    /// [`Error::Config`] for a negative or infinite one.
    pub fn new(std: f64) -> Result<Self> {
        if !(std.is_finite() && std >= 0.0) {
            return Err(Error::config("noise", format!("expected a number from 0 on, got {std}")));
        }
        Ok(Self { std })
    }

    /// `x + σ ε` for a given standard normal `ε`.
    ///
    /// # Errors
    /// LibTorch's, where the shapes differ.
    pub fn corrupt_at(&self, x: &Tensor, epsilon: &Tensor) -> Result<Tensor> {
        Ok(x.f_add(&(epsilon * self.std))?)
    }

    /// `x + σ ε` with a fresh `ε` from LibTorch's generator.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn corrupt(&self, x: &Tensor) -> Result<Tensor> {
        self.corrupt_at(x, &x.f_randn_like()?)
    }

    /// `y + σ² ∇ ln p(y)`: the posterior mean of `x`, where `density` is that of `y`. One backward
    /// pass; the result carries no graph.
    ///
    /// # Errors
    /// Those of the density.
    pub fn denoise(
        &self,
        density: &dyn Density,
        y: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Tensor> {
        recorded(|| {
            let y = leaf(y)?;
            let total = density.log_prob(&y, context)?.f_sum(None::<Kind>)?;
            let score = gradient(&total, None, &y, Graph::Free)?;
            Ok((&y + score * self.std.powi(2)).f_detach()?)
        })
    }
}

/// Label dropout: rows of a one-hot context are replaced by the row `1/K`, which a linear embedding
/// takes to the mean of the classes, so that one model is conditional and unconditional.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelDropout {
    rate: f64,
}

impl LabelDropout {
    /// Dropout of labels with probability `rate`.
    ///
    /// # Errors
    /// [`Error::Config`] for a rate outside `[0, 1]`.
    pub fn new(rate: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(Error::config("rate", format!("expected a rate in [0, 1], got {rate}")));
        }
        Ok(Self { rate })
    }

    /// The context `[B, K]` with the rows replaced whose `uniform` `[B]` is below the rate.
    ///
    /// # Errors
    /// LibTorch's, where the shapes differ.
    pub fn apply_at(&self, context: &Tensor, uniform: &Tensor) -> Result<Tensor> {
        let dropped = uniform.f_lt(self.rate)?.f_unsqueeze(1)?;
        Ok(Self::unconditional(context)?.f_where_self(&dropped, context)?)
    }

    /// The same with fresh draws from LibTorch's generator.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn apply(&self, context: &Tensor) -> Result<Tensor> {
        let uniform = Tensor::f_rand([context.size()[0]], (Kind::Float, context.device()))?;
        self.apply_at(context, &uniform)
    }

    /// Rows of `1/K` in the shape of `context`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn unconditional(context: &Tensor) -> Result<Tensor> {
        let classes = context.size().last().copied().unwrap_or(1).max(1);
        Ok(context.f_full_like(1.0 / classes as f64)?)
    }
}
