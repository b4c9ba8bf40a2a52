//! Causal multi-head attention.

use super::cache::{Cache, KeysValues};
use super::config::{AttentionKernel, TransformerConfig};
use super::rotary::Rotation;
use crate::{Init, Linear, Scope};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// What the tokens of one call share: where they stand, and those before them.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pub(super) rotation: Option<&'a Rotation>,
    pub(super) cache: Option<&'a mut Cache>,
    /// Number of the layer, its place in the cache.
    pub(super) number: usize,
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

    /// `[B, t, W] → [B, t, W]`.
    pub(super) fn forward(&self, h: &Tensor, at: &mut Query<'_>) -> Result<Tensor> {
        let size = h.size();
        let (batch, tokens) = (size[0], size[1]);
        let split = |weight: &Tensor, heads: i64| -> Result<Tensor> {
            let x = h.f_linear(weight, None::<&Tensor>)?;
            Ok(x.f_view([batch, tokens, heads, self.head_width])?.f_transpose(1, 2)?)
        };
        let turn = |x: Tensor| at.rotation.map_or_else(|| Ok(x.shallow_clone()), |r| r.apply(&x));
        let query = turn(split(&self.query, self.heads)?)?;
        let mut keys = turn(split(&self.key, self.key_heads)?)?;
        let mut values = split(&self.value, self.key_heads)?;
        let (mut before, mut temperature) = (0, 1.0);
        if let Some(cache) = at.cache.as_deref_mut() {
            (before, temperature) = (cache.len(), cache.temperature());
            let all = cache.append(at.number, KeysValues { keys, values })?;
            (keys, values) = (all.keys, all.values);
        }
        if self.heads != self.key_heads {
            let groups = self.heads / self.key_heads;
            keys = keys.f_repeat_interleave_self_int(groups, 1, None)?;
            values = values.f_repeat_interleave_self_int(groups, 1, None)?;
        }
        let scale = 1.0 / ((self.head_width as f64).sqrt() * temperature);
        let out = match self.kernel {
            AttentionKernel::Fused => fused(&query, &keys, &values, before, scale)?,
            AttentionKernel::Composed => composed(&query, &keys, &values, before, scale)?,
        };
        let out = out.f_transpose(1, 2)?.f_reshape(size.as_slice())?;
        self.output.forward(&out)
    }
}

/// `[t, before + t]`: which tokens each of the `t` last ones may see.
fn visible(query: &Tensor, before: i64) -> Result<Tensor> {
    let tokens = query.size()[2];
    let ones = Tensor::f_ones([tokens, before + tokens], (Kind::Bool, query.device()))?;
    Ok(ones.f_tril(before)?)
}

fn fused(q: &Tensor, k: &Tensor, v: &Tensor, before: i64, scale: f64) -> Result<Tensor> {
    // A single token sees all; the kernel's own causal mask fits only where none came before.
    let causal = before == 0 && q.size()[2] > 1;
    let mask = (before > 0 && q.size()[2] > 1).then(|| visible(q, before)).transpose()?;
    Ok(Tensor::f_scaled_dot_product_attention(q, k, v, mask, 0.0, causal, scale, false)?)
}

fn composed(q: &Tensor, k: &Tensor, v: &Tensor, before: i64, scale: f64) -> Result<Tensor> {
    let mut logits = q.f_matmul(&k.f_transpose(-2, -1)?)? * scale;
    if q.size()[2] > 1 {
        let hidden = visible(q, before)?.f_logical_not()?;
        logits = logits.f_masked_fill(&hidden, f64::NEG_INFINITY)?;
    }
    Ok(logits.f_softmax(-1, None::<Kind>)?.f_matmul(v)?)
}
