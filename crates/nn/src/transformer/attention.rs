//! Multi-head attention: to the tokens before, to a whole sequence, and to another sequence.

use super::cache::{Cache, KeysValues};
use super::config::{AttentionKernel, TransformerConfig};
use super::rotary::Rotation;
use crate::{Init, Linear, Scope};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// Which tokens those of a call may see.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sight<'a> {
    /// So many tokens before them, and of their own those up to each.
    Past(i64),
    /// All but those that a mask `[B, 1, 1, t]` hides: it is true for what is shown.
    Shown(Option<&'a Tensor>),
}

/// `softmax(q kᵀ / √w + mask) v` for each head, and a linear map of all heads together.
///
/// Queries, keys and values have no bias: one of the keys would move all logits of a query alike, and
/// so do nothing.
#[derive(Debug)]
pub(super) struct Attention {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Linear,
    heads: i64,
    key_heads: i64,
    head_width: i64,
    kernel: AttentionKernel,
}

impl Attention {
    pub(super) fn new(scope: &Scope<'_>, config: &TransformerConfig) -> Result<Self> {
        let (width, head_width) = (config.width, config.head_width());
        let bound = 1.0 / (width as f64).sqrt();
        let weight =
            |name: &str, rows: i64| scope.param(name, &[rows, width], Init::Uniform(bound));
        let shared = config.key_heads() * head_width;
        // Residual branches start smaller in deeper stacks, as GPT-2's do.
        let last = Init::Uniform(bound / (2.0 * config.layers.max(1) as f64).sqrt());
        Ok(Self {
            query: weight("query", width)?,
            key: weight("key", shared)?,
            value: weight("value", shared)?,
            output: Linear::with_init(
                &scope.sub("output"),
                width,
                width,
                last,
                Init::Constant(0.0),
            )?,
            heads: config.heads,
            key_heads: config.key_heads(),
            head_width,
            kernel: config.attention,
        })
    }

    /// The same once more: its tensors are this one's.
    pub(super) fn share(&self) -> Self {
        Self {
            query: self.query.shallow_clone(),
            key: self.key.shallow_clone(),
            value: self.value.shallow_clone(),
            output: self.output.share(),
            ..*self
        }
    }

    /// `[B, t, W] → [B, t, W]`, from each token to those up to it, also to those in the cache, where it is layer
    /// `number`.
    pub(super) fn causal(
        &self,
        h: &Tensor,
        rotation: Option<&Rotation>,
        cache: Option<&mut Cache>,
        number: usize,
    ) -> Result<Tensor> {
        let query = turn(self.split(h, &self.query, self.heads)?, rotation)?;
        let mut seen = self.keys_values(h, rotation)?;
        let (mut before, mut temperature) = (0, 1.0);
        if let Some(cache) = cache {
            (before, temperature) = (cache.len(), cache.temperature());
            seen = cache.append(number, seen)?;
        }
        self.attend(&query, &seen, Sight::Past(before), temperature)
    }

    /// `[B, t, W] → [B, t, W]`, from each token to all that are shown.
    pub(super) fn whole(
        &self,
        h: &Tensor,
        rotation: Option<&Rotation>,
        shown: Option<&Tensor>,
    ) -> Result<Tensor> {
        let query = turn(self.split(h, &self.query, self.heads)?, rotation)?;
        self.attend(&query, &self.keys_values(h, rotation)?, Sight::Shown(shown), 1.0)
    }

    /// `[B, t, W] → [B, t, W]`, from each token to the shown ones of another sequence, whose keys and
    /// values are given. Places of two sequences are not compared: nothing is rotated.
    pub(super) fn across(
        &self,
        h: &Tensor,
        other: &KeysValues,
        shown: Option<&Tensor>,
    ) -> Result<Tensor> {
        let query = self.split(h, &self.query, self.heads)?;
        self.attend(&query, other, Sight::Shown(shown), 1.0)
    }

    /// Keys and values of tokens `[B, t, W]`.
    pub(super) fn keys_values(
        &self,
        h: &Tensor,
        rotation: Option<&Rotation>,
    ) -> Result<KeysValues> {
        Ok(KeysValues {
            keys: turn(self.split(h, &self.key, self.key_heads)?, rotation)?,
            values: self.split(h, &self.value, self.key_heads)?,
        })
    }

    /// A linear map of `[B, t, W]`, split into heads `[B, H, t, w]`.
    fn split(&self, h: &Tensor, weight: &Tensor, heads: i64) -> Result<Tensor> {
        let (batch, tokens) = (h.size()[0], h.size()[1]);
        let x = h.f_linear(weight, None::<&Tensor>)?;
        Ok(x.f_view([batch, tokens, heads, self.head_width])?.f_transpose(1, 2)?)
    }

    fn attend(
        &self,
        query: &Tensor,
        seen: &KeysValues,
        sight: Sight<'_>,
        temperature: f64,
    ) -> Result<Tensor> {
        let groups = self.heads / self.key_heads;
        let spread = |x: &Tensor| match groups {
            1 => Ok(x.shallow_clone()),
            _ => x.f_repeat_interleave_self_int(groups, 1, None),
        };
        let (keys, values) = (spread(&seen.keys)?, spread(&seen.values)?);
        let scale = 1.0 / ((self.head_width as f64).sqrt() * temperature);
        let out = match self.kernel {
            AttentionKernel::Fused => fused(query, &keys, &values, sight, scale)?,
            AttentionKernel::Composed => composed(query, &keys, &values, sight, scale)?,
        };
        let (batch, tokens) = (query.size()[0], query.size()[2]);
        let width = self.heads * self.head_width;
        self.output.forward(&out.f_transpose(1, 2)?.f_reshape([batch, tokens, width])?)
    }
}

fn turn(x: Tensor, rotation: Option<&Rotation>) -> Result<Tensor> {
    match rotation {
        Some(rotation) => rotation.apply(&x),
        None => Ok(x),
    }
}

impl Sight<'_> {
    /// What each of the tokens may see, true for seen, where that is not everything.
    fn mask(self, query: &Tensor) -> Result<Option<Tensor>> {
        let tokens = query.size()[2];
        match self {
            // A single token sees all that came before it.
            Self::Past(_) if tokens == 1 => Ok(None),
            Self::Past(before) => {
                let ones = (Kind::Bool, query.device());
                let ones = Tensor::f_ones([tokens, before + tokens], ones)?;
                Ok(Some(ones.f_tril(before)?))
            }
            Self::Shown(shown) => Ok(shown.map(Tensor::shallow_clone)),
        }
    }
}

fn fused(q: &Tensor, k: &Tensor, v: &Tensor, sight: Sight<'_>, scale: f64) -> Result<Tensor> {
    // The kernel's own causal mask fits only where nothing came before.
    let causal = matches!(sight, Sight::Past(0)) && q.size()[2] > 1;
    let mask = if causal { None } else { sight.mask(q)? };
    Ok(Tensor::f_scaled_dot_product_attention(q, k, v, mask, 0.0, causal, scale, false)?)
}

fn composed(q: &Tensor, k: &Tensor, v: &Tensor, sight: Sight<'_>, scale: f64) -> Result<Tensor> {
    let mut logits = q.f_matmul(&k.f_transpose(-2, -1)?)? * scale;
    if let Some(mask) = sight.mask(q)? {
        logits = logits.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?;
    }
    Ok(logits.f_softmax(-1, None::<Kind>)?.f_matmul(v)?)
}
