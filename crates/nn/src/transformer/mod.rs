//! Causal transformers: the conditioner of autoregressive flows, and the trunk of language models.

mod attention;
mod cache;
mod config;
mod feed_forward;
mod rotary;

pub use cache::Cache;
pub use config::{AttentionKernel, FeedForward, Positions, TransformerConfig};

use crate::{Dropout, Init, Norm, Scope};
use attention::{Attention, Query};
use feed_forward::FeedForwardLayer;
use maxlik_tensor::{Error, Result};
use rotary::Rotary;
use tch::Tensor;

/// A stack of pre-norm layers `h ← h + attention(norm h)`, `h ← h + feed_forward(norm h)` with causal
/// attention, and a last normalisation (Vaswani et al. 2017, arXiv:1706.03762; pre-norm after
/// Radford et al. 2019).
///
/// It maps hidden states `[B, T, W]` to hidden states: embedding and head belong to the model around
/// it. The output at a token depends on that token and those before it only.
#[derive(Debug)]
pub struct CausalTransformer {
    positions: Option<Tensor>,
    rotary: Option<Rotary>,
    layers: Vec<Layer>,
    norm: Norm,
    /// Place of each token of the sequence, where it is not that of its number.
    places: Option<Tensor>,
    length: i64,
    width: i64,
}

#[derive(Debug)]
struct Layer {
    before_attention: Norm,
    attention: Attention,
    before_feed_forward: Norm,
    feed_forward: FeedForwardLayer,
    dropout: Dropout,
}

impl Layer {
    fn new(scope: &Scope<'_>, config: &TransformerConfig) -> Result<Self> {
        let norm = |name: &str| Norm::new(&scope.sub(name), config.width, config.norm);
        Ok(Self {
            before_attention: norm("attention_norm")?,
            attention: Attention::new(&scope.sub("attention"), config)?,
            before_feed_forward: norm("feed_forward_norm")?,
            feed_forward: FeedForwardLayer::new(&scope.sub("feed_forward"), config)?,
            dropout: Dropout::new(scope, config.dropout)?,
        })
    }

    fn forward(&self, h: &Tensor, query: &mut Query<'_>) -> Result<Tensor> {
        let inner = self.attention.forward(&self.before_attention.forward(h)?, query)?;
        let h = h.f_add(&self.dropout.forward(&inner)?)?;
        let inner = self.feed_forward.forward(&self.before_feed_forward.forward(&h)?)?;
        Ok(h.f_add(&self.dropout.forward(&inner)?)?)
    }
}

impl CausalTransformer {
    /// A transformer for sequences of up to `length` tokens.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit each other.
    pub fn new(scope: &Scope<'_>, length: i64, config: &TransformerConfig) -> Result<Self> {
        config.check()?;
        if length < 1 {
            return Err(Error::config("length", format!("expected at least 1, got {length}")));
        }
        let positions = match config.positions {
            Positions::Learned {} => {
                Some(scope.param("positions", &[length, config.width], Init::Normal(0.02))?)
            }
            Positions::Rotary { .. } | Positions::None {} => None,
        };
        let rotary = match config.positions {
            Positions::Rotary { base } => {
                Some(Rotary::new(length, config.head_width(), base, scope)?)
            }
            Positions::Learned {} | Positions::None {} => None,
        };
        let layer = |i: usize| Layer::new(&scope.sub("layers").sub(i), config);
        Ok(Self {
            positions,
            rotary,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            norm: Norm::new(&scope.sub("norm"), config.width, config.norm)?,
            places: None,
            length,
            width: config.width,
        })
    }

    /// The same, but token `i` of a sequence stands at place `places[i]`: learned and rotary
    /// positions then follow a permutation of the tokens.
    ///
    /// # Errors
    /// [`Error::Config`] where there is not one place below the length for each token.
    pub fn at_places(self, places: &[i64]) -> Result<Self> {
        let outside = places.iter().any(|place| !(0..self.length).contains(place));
        if places.len() as i64 != self.length || outside {
            let why = format!("expected {0} places below {0}, got {places:?}", self.length);
            return Err(Error::config("places", why));
        }
        let device = self.norm.device();
        Ok(Self { places: Some(Tensor::f_from_slice(places)?.f_to_device(device)?), ..self })
    }

    /// The longest sequence.
    #[must_use]
    pub fn length(&self) -> i64 {
        self.length
    }

    /// Width of hidden states.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.width
    }

    /// An empty cache for [`CausalTransformer::extend`].
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache::new(self.layers.len(), self.length)
    }

    /// `[B, T, W] → [B, T, W]` for a whole sequence.
    ///
    /// # Errors
    /// [`Error::Shape`] for another width or too many tokens.
    pub fn forward(&self, h: &Tensor) -> Result<Tensor> {
        self.run(h, 0, None)
    }

    /// The same for the next tokens `[B, t, W]` of a sequence whose keys and values are in the
    /// cache, which grows by them. Costs one token's work for each, not the whole sequence's.
    ///
    /// # Errors
    /// As [`CausalTransformer::forward`].
    pub fn extend(&self, h: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let start = cache.len();
        let out = self.run(h, start, Some(cache))?;
        cache.advance(h.size()[1]);
        Ok(out)
    }

    fn run(&self, h: &Tensor, start: i64, mut cache: Option<&mut Cache>) -> Result<Tensor> {
        let tokens = match h.size().as_slice() {
            &[_, tokens, width] if width == self.width && start + tokens <= self.length => tokens,
            size => {
                let expected =
                    format!("[B, T, {}] with T up to {}", self.width, self.length - start);
                return Err(Error::shape("hidden states", expected, size));
            }
        };
        let places = self.places.as_ref().map(|p| p.f_narrow(0, start, tokens)).transpose()?;
        let rows = |table: &Tensor| match &places {
            Some(places) => table.f_index_select(0, places),
            None => table.f_narrow(0, start, tokens),
        };
        let mut h = match &self.positions {
            Some(table) => h.f_add(&rows(table)?)?,
            None => h.shallow_clone(),
        };
        let rotation = self.rotary.as_ref().map(|rotary| rotary.at(rows)).transpose()?;
        for (number, layer) in self.layers.iter().enumerate() {
            let cache = cache.as_deref_mut();
            h = layer.forward(&h, &mut Query { rotation: rotation.as_ref(), cache, number })?;
        }
        self.norm.forward(&h)
    }
}
