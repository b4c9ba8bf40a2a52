//! Layers one upon the other, for encoders and decoders alike.

use super::attention::Attention;
use super::cache::Cache;
use super::config::{Positions, TransformerConfig};
use super::feed_forward::FeedForwardLayer;
use super::memory::Memory;
use super::rotary::{Rotary, Rotation};
use crate::{Dropout, Init, Norm, Scope};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// What the layers of a stack attend to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its own sequence.
    Alone,
    /// Its own sequence, and then another.
    WithMemory,
}

/// What the tokens of one call see.
#[derive(Debug)]
pub(super) enum View<'a> {
    /// The whole sequence, but for what a mask `[B, 1, 1, T]` hides.
    Whole(Option<&'a Tensor>),
    /// Those before them, and another sequence where there is one.
    Past { cache: Option<&'a mut Cache>, memory: Option<&'a Memory> },
}

/// Pre-norm layers and a last normalisation.
#[derive(Debug)]
pub(super) struct Stack {
    positions: Option<Tensor>,
    rotary: Option<Rotary>,
    layers: Vec<Layer>,
    norm: Norm,
    /// Place of each token of the sequence, where it is not that of its number.
    places: Option<Tensor>,
    length: i64,
    width: i64,
    kind: Kind,
}

#[derive(Debug)]
struct Layer {
    before_attention: Norm,
    attention: Attention,
    across: Option<Across>,
    before_feed_forward: Norm,
    feed_forward: FeedForwardLayer,
    dropout: Dropout,
}

/// Attention to another sequence.
#[derive(Debug)]
struct Across {
    before: Norm,
    attention: Attention,
}

impl Layer {
    fn new(scope: &Scope<'_>, config: &TransformerConfig, kind: Kind) -> Result<Self> {
        let norm = |name: &str| Norm::new(&scope.sub(name), config.width, config.norm);
        let across = || -> Result<Across> {
            let attention = Attention::new(&scope.sub("cross_attention"), config)?;
            Ok(Across { before: norm("cross_attention_norm")?, attention })
        };
        Ok(Self {
            before_attention: norm("attention_norm")?,
            attention: Attention::new(&scope.sub("attention"), config)?,
            across: (kind == Kind::WithMemory).then(across).transpose()?,
            before_feed_forward: norm("feed_forward_norm")?,
            feed_forward: FeedForwardLayer::new(&scope.sub("feed_forward"), config)?,
            dropout: Dropout::new(scope, config.dropout)?,
        })
    }

    fn share(&self) -> Self {
        let across = |across: &Across| Across {
            before: across.before.share(),
            attention: across.attention.share(),
        };
        Self {
            before_attention: self.before_attention.share(),
            attention: self.attention.share(),
            across: self.across.as_ref().map(across),
            before_feed_forward: self.before_feed_forward.share(),
            feed_forward: self.feed_forward.share(),
            dropout: self.dropout.clone(),
        }
    }

    fn forward(
        &self,
        h: &Tensor,
        rotation: Option<&Rotation>,
        view: &mut View<'_>,
        number: usize,
    ) -> Result<Tensor> {
        let add = |h: &Tensor, inner: Tensor| -> Result<Tensor> {
            Ok(h.f_add(&self.dropout.forward(&inner)?)?)
        };
        let inner = self.before_attention.forward(h)?;
        let mut h = match view {
            View::Whole(shown) => add(h, self.attention.whole(&inner, rotation, *shown)?)?,
            View::Past { cache, .. } => {
                let cache = cache.as_deref_mut();
                add(h, self.attention.causal(&inner, rotation, cache, number)?)?
            }
        };
        if let (Some(across), View::Past { memory: Some(memory), .. }) = (&self.across, view) {
            let (inner, shown) = (across.before.forward(&h)?, memory.shown.as_ref());
            h = add(&h, across.attention.across(&inner, &memory.layers[number], shown)?)?;
        }
        let inner = self.feed_forward.forward(&self.before_feed_forward.forward(&h)?)?;
        add(&h, inner)
    }
}

impl Stack {
    pub(super) fn new(
        scope: &Scope<'_>,
        length: i64,
        config: &TransformerConfig,
        kind: Kind,
    ) -> Result<Self> {
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
        let layer = |i: usize| Layer::new(&scope.sub("layers").sub(i), config, kind);
        Ok(Self {
            positions,
            rotary,
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            norm: Norm::new(&scope.sub("norm"), config.width, config.norm)?,
            places: None,
            length,
            width: config.width,
            kind,
        })
    }

    /// The same once more: its tensors are this one's.
    pub(super) fn share(&self) -> Self {
        let tensor = |tensor: &Option<Tensor>| tensor.as_ref().map(Tensor::shallow_clone);
        Self {
            positions: tensor(&self.positions),
            rotary: self.rotary.as_ref().map(Rotary::share),
            layers: self.layers.iter().map(Layer::share).collect(),
            norm: self.norm.share(),
            places: tensor(&self.places),
            ..*self
        }
    }

    /// As [`super::CausalTransformer::at_places`].
    pub(super) fn at_places(self, places: &[i64]) -> Result<Self> {
        let outside = places.iter().any(|place| !(0..self.length).contains(place));
        if places.len() as i64 != self.length || outside {
            let why = format!("expected {0} places below {0}, got {places:?}", self.length);
            return Err(Error::config("places", why));
        }
        let device = self.norm.device();
        Ok(Self { places: Some(Tensor::f_from_slice(places)?.f_to_device(device)?), ..self })
    }

    pub(super) fn length(&self) -> i64 {
        self.length
    }

    pub(super) fn width(&self) -> i64 {
        self.width
    }

    pub(super) fn cache(&self) -> Cache {
        Cache::new(self.layers.len(), self.length)
    }

    /// Keys and values of another sequence `[B, S, W]` for each layer.
    pub(super) fn memory(&self, encoded: &Tensor, shown: Option<Tensor>) -> Result<Memory> {
        let across = self.layers.iter().filter_map(|layer| layer.across.as_ref());
        let layers = across.map(|across| across.attention.keys_values(encoded));
        Ok(Memory { layers: layers.collect::<Result<_>>()?, shown })
    }

    /// `[B, t, W] → [B, t, W]` for tokens of which the first is number `start` of the sequence.
    pub(super) fn run(&self, h: &Tensor, start: i64, mut view: View<'_>) -> Result<Tensor> {
        let tokens = match h.size().as_slice() {
            &[_, tokens, width] if width == self.width && start + tokens <= self.length => tokens,
            size => {
                let expected =
                    format!("[B, T, {}] with T up to {}", self.width, self.length - start);
                return Err(Error::shape("hidden states", expected, size));
            }
        };
        self.check_memory(&view)?;
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
            h = layer.forward(&h, rotation.as_ref(), &mut view, number)?;
        }
        self.norm.forward(&h)
    }

    /// The next tokens of the sequence in a cache.
    pub(super) fn extend(
        &self,
        h: &Tensor,
        cache: &mut Cache,
        memory: Option<&Memory>,
    ) -> Result<Tensor> {
        let start = cache.len();
        let out = self.run(h, start, View::Past { cache: Some(&mut *cache), memory })?;
        cache.advance(h.size()[1]);
        Ok(out)
    }

    /// A memory is there exactly where the layers look at one.
    fn check_memory(&self, view: &View<'_>) -> Result<()> {
        let memory = match view {
            View::Past { memory, .. } => *memory,
            View::Whole(_) => None,
        };
        let expected = if self.kind == Kind::WithMemory { self.layers.len() } else { 0 };
        let got = memory.map_or(0, |memory| memory.layers.len());
        if got == expected {
            return Ok(());
        }
        let why = format!("expected one of {expected} layers, got one of {got}");
        Err(Error::config("memory", why))
    }
}
