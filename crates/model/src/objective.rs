//! Objectives and the batches that they see.

use maxlik_tensor::Result;
use std::fmt::Debug;
use tch::Tensor;

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
