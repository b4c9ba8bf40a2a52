//! Discrete data by uniform dequantization.

use maxlik_model::{Batch, Density, Loss, Objective};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// An objective for densities on `[0, 1]`, applied to data with `levels` values `0, 1, …` in each
/// coordinate: `x = (v + u)/levels` with `u` uniform on `[0, 1)`, fresh in each step.
///
/// The mass of `v` under the model is `P(v) = ∫ p(x) dx` over its cell of volume `levels⁻ᴰ`, and by
/// Jensen's inequality `−ln P(v) ≤ E_u[−ln p(x)] + D ln levels` (Theis et al. 2016, "A note on the
/// evaluation of generative models", arXiv:1511.01844, section 3.1). The loss includes the constant
/// `D ln levels`, and so is a bound on the discrete negative log-likelihood, in nats.
#[derive(Debug, Clone, Copy)]
pub struct Dequantized<O> {
    inner: O,
    levels: u32,
    bound: bool,
}

impl<O> Dequantized<O> {
    /// `inner` on dequantized data.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than two levels.
    pub fn new(inner: O, levels: u32) -> Result<Self> {
        if levels < 2 {
            return Err(Error::config("levels", format!("expected at least 2, got {levels}")));
        }
        Ok(Self { inner, levels, bound: true })
    }

    /// The same for an objective that is no likelihood, such as score or flow matching: its own value,
    /// without the constant.
    #[must_use]
    pub fn without_constant(self) -> Self {
        Self { bound: false, ..self }
    }

    /// `(v + u)/levels` for integers `v` and noise `u` of one shape.
    ///
    /// # Errors
    /// LibTorch's, where the shapes differ.
    pub fn dequantize(&self, v: &Tensor, u: &Tensor) -> Result<Tensor> {
        Ok(v.f_add(u)?.f_div_scalar(f64::from(self.levels))?)
    }

    /// `D ln levels` for a batch `[B, …]` with `D` numbers in each row.
    #[must_use]
    pub fn constant(&self, v: &Tensor) -> f64 {
        let dims: i64 = v.size().iter().skip(1).product();
        dims as f64 * f64::from(self.levels).ln()
    }
}

impl<O> Dequantized<O> {
    /// The loss at given noise.
    ///
    /// # Errors
    /// Those of the inner objective.
    pub fn loss_at<M: ?Sized>(&self, model: &M, batch: &Batch, noise: &Tensor) -> Result<Loss>
    where
        O: Objective<M>,
    {
        let inner = Batch {
            data: self.dequantize(&batch.data, noise)?,
            context: batch.context.as_ref().map(Tensor::shallow_clone),
            weight: batch.weight.as_ref().map(Tensor::shallow_clone),
        };
        let loss = self.inner.loss(model, &inner)?;
        let constant = if self.bound { self.constant(&batch.data) } else { 0.0 };
        Ok(Loss { value: loss.value + constant, metrics: loss.metrics })
    }
}

impl<O: Objective<dyn Density>> Objective<dyn Density> for Dequantized<O> {
    fn loss(&self, model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        let noise = batch.data.f_rand_like()?;
        self.loss_at(model, batch, &noise)
    }
}

/// `nats / (D ln 2)`: bits per dimension of a discrete negative log-likelihood in nats.
#[must_use]
pub fn bits_per_dim(nats: f64, dims: i64) -> f64 {
    nats / (dims as f64 * std::f64::consts::LN_2)
}
