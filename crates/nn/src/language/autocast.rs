//! Language models in mixed precision.

use maxlik_model::{LanguageModel, Session};
use maxlik_tensor::{Result, autocast};
use tch::{Device, Kind, Tensor};

/// A language model whose matrix products are of `bfloat16` numbers, summed in `f32`, on the CPU or a GPU;
/// its parameters, normalisations and logits stay in `f32` (Micikevicius et al. 2018, "Mixed precision
/// training", arXiv:1710.03740, section 3; with an exponent as wide as that of `f32` no loss is scaled).
///
/// Gradients are of the kind of the parameters: an optimizer sees no difference.
#[derive(Debug)]
pub struct Autocast<M> {
    model: M,
    device: Device,
}

impl<M: LanguageModel> Autocast<M> {
    /// `model`, whose parameters are on `device`, in mixed precision.
    pub fn new(model: M, device: Device) -> Self {
        Self { model, device }
    }
}

impl<M: LanguageModel> LanguageModel for Autocast<M> {
    fn vocabulary(&self) -> i64 {
        self.model.vocabulary()
    }

    fn length(&self) -> Option<i64> {
        self.model.length()
    }

    fn predict(&self, tokens: &Tensor) -> Result<Tensor> {
        let logits = autocast::bfloat16(self.device, || self.model.predict(tokens))?;
        Ok(logits.f_to_kind(Kind::Float)?)
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(Mixed { session: self.model.session(), device: self.device })
    }

    fn embedding(&self) -> Option<Tensor> {
        self.model.embedding()
    }
}

#[derive(Debug)]
struct Mixed<'a> {
    session: Box<dyn Session + 'a>,
    device: Device,
}

impl Session for Mixed<'_> {
    fn extend(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let logits = autocast::bfloat16(self.device, || self.session.extend(tokens))?;
        Ok(logits.f_to_kind(Kind::Float)?)
    }

    fn select(&mut self, rows: &Tensor) -> Result<()> {
        self.session.select(rows)
    }
}
