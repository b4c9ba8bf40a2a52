//! Objectives and the batches that they see.

use maxlik_tensor::{Result, host};
use std::fmt::Debug;
use tch::{Kind, Tensor};

/// One training batch.
#[derive(Debug)]
pub struct Batch {
    /// Data `[B, …]`; tokens `[B, T]` for a [`crate::LanguageModel`].
    pub data: Tensor,
    /// What the model is conditioned on, `[B, …]`.
    pub context: Option<Tensor>,
    /// Non-negative weight of each sample, `[B]`; for a [`crate::LanguageModel`] of each token, `[B, T]`:
    /// how much its prediction counts, zero for prompts and padding.
    pub weight: Option<Tensor>,
}

impl Batch {
    /// A batch without context and weights.
    #[must_use]
    pub fn new(data: Tensor) -> Self {
        Self { data, context: None, weight: None }
    }

    /// `parts` batches of almost equally many samples, each with its share of the whole: losses that are
    /// means over samples (or over tokens, by their weights) add up to the whole batch's when they are
    /// multiplied by the shares. Parts without weight are left out; where no part has any, shares are not a
    /// number, as the loss of the whole batch is none.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn split(&self, parts: usize) -> Result<Vec<(Self, f64)>> {
        let samples = self.data.size().first().copied().unwrap_or(1);
        let parts = i64::try_from(parts).unwrap_or(i64::MAX).clamp(1, samples.max(1));
        let mut found = Vec::new();
        let mut sizes = Vec::new();
        for part in 0..parts {
            let (first, end) = (part * samples / parts, (part + 1) * samples / parts);
            let rows = |x: &Tensor| x.f_narrow(0, first, end - first);
            let batch = Self {
                data: rows(&self.data)?,
                context: self.context.as_ref().map(rows).transpose()?,
                weight: self.weight.as_ref().map(rows).transpose()?,
            };
            let size = match &batch.weight {
                // The first token is given: no loss is a mean over it.
                Some(w) if w.dim() == 2 => {
                    host::scalar(&w.f_narrow(1, 1, w.size()[1] - 1)?.f_sum(Kind::Double)?)?
                }
                Some(w) => host::scalar(&w.f_sum(Kind::Double)?)?,
                None => (end - first) as f64,
            };
            sizes.push(size);
            found.push(batch);
        }
        let whole: f64 = sizes.iter().sum();
        let shares = sizes.into_iter().map(|size| size / whole);
        Ok(found.into_iter().zip(shares).filter(|(_, share)| *share != 0.0).collect())
    }
}

/// A quantity beside the loss that is worth a look.
#[derive(Debug)]
pub struct Metric {
    /// Its name in logs.
    pub name: &'static str,
    /// A scalar without a graph.
    pub value: Tensor,
}

/// What an objective returns.
#[derive(Debug)]
pub struct Loss {
    /// The scalar to be minimised, with its graph.
    pub value: Tensor,
    /// Quantities to be logged.
    pub metrics: Vec<Metric>,
}

/// One way to train a model that has the capability `M`, such as [`crate::Density`]: a pair that
/// does not fit does not compile.
///
/// Random draws happen in `loss`, from LibTorch's generator; implementers offer beside it a pure
/// `loss_at` that takes the draws as arguments.
pub trait Objective<M: ?Sized>: Debug + Send {
    /// The loss of one batch.
    ///
    /// # Errors
    /// Those of the model, and of a batch that does not fit it.
    fn loss(&self, model: &M, batch: &Batch) -> Result<Loss>;
}

impl<M: ?Sized, O: Objective<M> + ?Sized> Objective<M> for Box<O> {
    fn loss(&self, model: &M, batch: &Batch) -> Result<Loss> {
        (**self).loss(model, batch)
    }
}
