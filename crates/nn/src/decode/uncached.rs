//! Sequences without a memory.

use maxlik_model::{LanguageModel, Session};
use maxlik_tensor::Result;
use tch::Tensor;

/// A session that runs the whole sequence through the model for each token: what a cache is measured
/// against, and what serves a model without one.
#[derive(Debug)]
pub struct Uncached<'a> {
    model: &'a dyn LanguageModel,
    tokens: Option<Tensor>,
}

impl<'a> Uncached<'a> {
    /// An empty sequence.
    #[must_use]
    pub fn new(model: &'a dyn LanguageModel) -> Self {
        Self { model, tokens: None }
    }
}

impl Session for Uncached<'_> {
    fn extend(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let all = match &self.tokens {
            Some(before) => Tensor::f_cat(&[before, tokens], 1)?,
            None => tokens.shallow_clone(),
        };
        let logits = self.model.logits(&all)?;
        self.tokens = Some(all);
        let new = tokens.size()[1];
        Ok(logits.f_narrow(1, logits.size()[1] - new, new)?)
    }

    fn select(&mut self, rows: &Tensor) -> Result<()> {
        self.tokens = self.tokens.take().map(|t| t.f_index_select(0, rows)).transpose()?;
        Ok(())
    }
}
