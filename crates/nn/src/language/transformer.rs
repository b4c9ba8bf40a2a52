//! A causal transformer between an embedding and a head.

use super::check_vocabulary;
use crate::{Cache, CausalTransformer, Init, Scope, TransformerConfig};
use maxlik_model::{LanguageModel, Session, check_tokens};
use maxlik_tensor::{Result, threads};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of a [`TransformerLanguageModel`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformerLanguageModelConfig {
    /// The trunk.
    pub transformer: TransformerConfig,
    /// Longest sequence.
    pub length: i64,
    /// Whether the head's weight is the embedding (Press and Wolf 2017, arXiv:1608.05859).
    pub tied: bool,
}

impl Default for TransformerLanguageModelConfig {
    fn default() -> Self {
        Self { transformer: TransformerConfig::default(), length: 128, tied: true }
    }
}

/// `logits = norm(trunk(E[x])) Hᵀ` with an embedding `E` and a head `H`, both `[V, W]`, without a bias;
/// with tied weights they are one.
#[derive(Debug)]
pub struct TransformerLanguageModel {
    embedding: Tensor,
    head: Option<Tensor>,
    trunk: CausalTransformer,
}

impl TransformerLanguageModel {
    /// A model over this many tokens.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for numbers that do not fit each other.
    pub fn new(
        scope: &Scope<'_>,
        vocabulary: i64,
        config: &TransformerLanguageModelConfig,
    ) -> Result<Self> {
        check_vocabulary(vocabulary)?;
        let trunk =
            CausalTransformer::new(&scope.sub("transformer"), config.length, &config.transformer)?;
        let shape = [vocabulary, config.transformer.width];
        let matrix = |name: &str| scope.param(name, &shape, Init::Normal(0.02));
        let head = (!config.tied).then(|| matrix("head")).transpose()?;
        Ok(Self { embedding: matrix("embedding")?, head, trunk })
    }

    fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        Ok(Tensor::f_embedding(&self.embedding, tokens, -1, false, false)?)
    }

    fn head(&self) -> &Tensor {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    fn project(&self, h: &Tensor) -> Result<Tensor> {
        Ok(h.f_linear(self.head(), None::<&Tensor>)?)
    }
}

impl LanguageModel for TransformerLanguageModel {
    fn vocabulary(&self) -> i64 {
        self.embedding.size()[0]
    }

    fn length(&self) -> Option<i64> {
        Some(self.trunk.length())
    }

    fn predict(&self, tokens: &Tensor) -> Result<Tensor> {
        self.project(&self.trunk.forward(&self.embed(tokens)?)?)
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(Cached { model: self, cache: self.trunk.cache() })
    }

    fn embedding(&self) -> Option<Tensor> {
        Some(self.head().shallow_clone())
    }
}

/// Keys and values of all tokens so far.
#[derive(Debug)]
struct Cached<'a> {
    model: &'a TransformerLanguageModel,
    cache: Cache,
}

impl Session for Cached<'_> {
    fn extend(&mut self, tokens: &Tensor) -> Result<Tensor> {
        check_tokens(tokens, Some(self.model.trunk.length() - self.cache.len()))?;
        threads::by_work(tokens.numel() as i64 * self.model.trunk.width().pow(2), || {
            let h = self.model.trunk.extend(&self.model.embed(tokens)?, &mut self.cache)?;
            self.model.project(&h)
        })
    }

    fn select(&mut self, rows: &Tensor) -> Result<()> {
        self.cache.select(rows)
    }
}
