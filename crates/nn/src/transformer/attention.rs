//! Multi-head attention: to the tokens before, to a whole sequence, and to another sequence.

use super::cache::{Cache, KeysValues};
use super::config::{AttentionKernel, TransformerConfig};
use super::rotary::Rotation;
use crate::{Init, Linear, Scope};
use maxlik_tensor::attention::causal;
use maxlik_tensor::{Error, Result};
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
/// Within one sequence, queries, keys and values come from one product. They have no bias unless the
/// config asks for it: one of the keys would move all logits of a query alike, and so do nothing.
#[derive(Debug)]
pub(super) struct Attention {
    /// Rows for queries, then keys, then values.
    weight: Tensor,
    bias: Option<Tensor>,
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
        let rows = width + 2 * config.key_heads() * head_width;
        let bias = || scope.param("bias", &[rows], Init::Constant(0.0));
        // Residual branches start smaller in deeper stacks, as GPT-2's do.
        let last = Init::Uniform(bound / (2.0 * config.layers.max(1) as f64).sqrt());
        let output = scope.sub("output");
        Ok(Self {
            weight: scope.param("weight", &[rows, width], Init::Uniform(bound))?,
            bias: config.attention_bias.then(bias).transpose()?,
            output: Linear::with_init(&output, width, width, last, Init::Constant(0.0))?,
            heads: config.heads,
            key_heads: config.key_heads(),
            head_width,
            kernel: config.attention,
        })
    }

    /// The same once more: its tensors are this one's.
    pub(super) fn share(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.as_ref().map(Tensor::shallow_clone),
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
        let (query, mut seen) = self.own(h, rotation)?;
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
        let (query, seen) = self.own(h, rotation)?;
        self.attend(&query, &seen, Sight::Shown(shown), 1.0)
    }

    /// `[B, t, W] → [B, t, W]`, from each token to the shown ones of another sequence, whose keys and
    /// values are given. Places of two sequences are not compared: nothing is rotated.
    pub(super) fn across(
        &self,
        h: &Tensor,
        other: &KeysValues,
        shown: Option<&Tensor>,
    ) -> Result<Tensor> {
        let query = self.product(h, 0, self.heads)?.f_transpose(1, 2)?;
        self.attend(&query, other, Sight::Shown(shown), 1.0)
    }

    /// Queries, keys and values of tokens `[B, t, W]`.
    fn own(&self, h: &Tensor, rotation: Option<&Rotation>) -> Result<(Tensor, KeysValues)> {
        let all = self.product(h, 0, self.heads + 2 * self.key_heads)?;
        let parts = all.f_split_with_sizes([self.heads, self.key_heads, self.key_heads], 2)?;
        let [query, keys, values] = parts.as_slice() else {
            return Err(Error::unsupported("attention without queries, keys and values"));
        };
        let keys = turn(keys.f_transpose(1, 2)?, rotation)?;
        let seen = KeysValues { keys, values: values.f_transpose(1, 2)? };
        Ok((turn(query.f_transpose(1, 2)?, rotation)?, seen))
    }

    /// Keys and values of tokens `[B, t, W]`, without rotation.
    pub(super) fn keys_values(&self, h: &Tensor) -> Result<KeysValues> {
        let both = self.product(h, self.heads, 2 * self.key_heads)?;
        let part = |first| both.f_narrow(2, first, self.key_heads)?.f_transpose(1, 2);
        Ok(KeysValues { keys: part(0)?, values: part(self.key_heads)? })
    }

    /// What these heads of the weight make of `[B, t, W]`: `[B, t, heads, w]`.
    fn product(&self, h: &Tensor, first: i64, heads: i64) -> Result<Tensor> {
        let (batch, tokens) = (h.size()[0], h.size()[1]);
        let rows = |x: &Tensor| {
            if x.size()[0] == heads * self.head_width {
                return Ok(x.shallow_clone());
            }
            x.f_narrow(0, first * self.head_width, heads * self.head_width)
        };
        let bias = self.bias.as_ref().map(rows).transpose()?;
        let x = h.f_linear(&rows(&self.weight)?, bias.as_ref())?;
        Ok(x.f_view([batch, tokens, heads, self.head_width])?)
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
    // A kernel with a causal mask of its own fits only where nothing came before.
    if matches!(sight, Sight::Past(0)) && q.size()[2] > 1 {
        return causal(q, k, v, scale);
    }
    let mask = sight.mask(q)?;
    Ok(Tensor::f_scaled_dot_product_attention(q, k, v, mask, 0.0, false, scale, false)?)
}

fn composed(q: &Tensor, k: &Tensor, v: &Tensor, sight: Sight<'_>, scale: f64) -> Result<Tensor> {
    let mut logits = q.f_matmul(&k.f_transpose(-2, -1)?)? * scale;
    if let Some(mask) = sight.mask(q)? {
        logits = logits.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?;
    }
    Ok(logits.f_softmax(-1, None::<Kind>)?.f_matmul(v)?)
}
