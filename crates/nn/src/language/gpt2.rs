//! GPT-2 with weights from Hugging Face's files.

use super::{TransformerLanguageModel, TransformerLanguageModelConfig};
use crate::{FeedForward, NormKind, Params, Positions, TransformerConfig};
use maxlik_tensor::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// What `config.json` says of the model; what is missing there is GPT-2's own.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Gpt2Config {
    vocab_size: i64,
    n_positions: i64,
    n_embd: i64,
    n_layer: usize,
    n_head: i64,
    n_inner: Option<i64>,
    activation_function: String,
    layer_norm_epsilon: f64,
    scale_attn_weights: bool,
    scale_attn_by_inverse_layer_idx: bool,
    tie_word_embeddings: bool,
}

impl Default for Gpt2Config {
    fn default() -> Self {
        Self {
            vocab_size: 50_257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: "gelu_new".to_owned(),
            layer_norm_epsilon: 1e-5,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            tie_word_embeddings: true,
        }
    }
}

impl Gpt2Config {
    fn read(path: &Path) -> Result<Self> {
        let refuse = |why: String| Error::config(path.display().to_string(), why);
        let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
        serde_json::from_str(&text).map_err(|e| refuse(format!("expected GPT-2's config, {e}")))
    }

    fn ours(&self) -> Result<TransformerLanguageModelConfig> {
        let feed_forward = match self.activation_function.as_str() {
            "gelu_new" | "gelu_pytorch_tanh" => FeedForward::GeluTanh,
            "gelu" => FeedForward::Gelu,
            other => {
                let why = format!("expected gelu_new, gelu_pytorch_tanh or gelu, got {other}");
                return Err(Error::config("activation_function", why));
            }
        };
        if (self.layer_norm_epsilon - crate::norm::EPSILON).abs() > 1e-12 {
            let why = format!("expected {}, got {}", crate::norm::EPSILON, self.layer_norm_epsilon);
            return Err(Error::config("layer_norm_epsilon", why));
        }
        if !self.scale_attn_weights || self.scale_attn_by_inverse_layer_idx {
            let why = "expected attention that is scaled by the width of heads alone";
            return Err(Error::config("scale_attn_weights", why));
        }
        let inner = self.n_inner.unwrap_or(4 * self.n_embd);
        if self.n_embd < 1 || inner % self.n_embd != 0 {
            let why = format!("expected a multiple of n_embd = {}, got {inner}", self.n_embd);
            return Err(Error::config("n_inner", why));
        }
        Ok(TransformerLanguageModelConfig {
            transformer: TransformerConfig {
                width: self.n_embd,
                heads: self.n_head,
                layers: self.n_layer,
                expansion: inner / self.n_embd,
                norm: NormKind::LayerNorm,
                positions: Positions::Learned {},
                feed_forward,
                attention_bias: true,
                ..TransformerConfig::default()
            },
            length: self.n_positions,
            tied: self.tie_word_embeddings,
        })
    }
}

/// The name here of a tensor there, and whether it is stored as inputs by outputs, as GPT-2's linear maps
/// are; none for what is no parameter.
fn name(theirs: &str) -> Option<(String, bool)> {
    let theirs = theirs.strip_prefix("transformer.").unwrap_or(theirs);
    match theirs {
        "wte.weight" => return Some(("embedding".to_owned(), false)),
        "wpe.weight" => return Some(("transformer.positions".to_owned(), false)),
        "lm_head.weight" => return Some(("head".to_owned(), false)),
        _ => {}
    }
    if let Some(part) = theirs.strip_prefix("ln_f.") {
        return Some((format!("transformer.norm.{part}"), false));
    }
    let (layer, rest) = theirs.strip_prefix("h.")?.split_once('.')?;
    let (part, tensor) = rest.rsplit_once('.')?;
    let part = match part {
        "ln_1" => "attention_norm",
        "attn.c_attn" => "attention",
        "attn.c_proj" => "attention.output",
        "ln_2" => "feed_forward_norm",
        "mlp.c_fc" => "feed_forward.input",
        "mlp.c_proj" => "feed_forward.output",
        // The causal mask, in `attn.bias` of old files.
        _ => return None,
    };
    let turned = tensor == "weight" && !part.ends_with("norm");
    Some((format!("transformer.layers.{layer}.{part}.{tensor}"), turned))
}

/// GPT-2 (Radford et al. 2019) with the weights of a folder in Hugging Face's format: `config.json` and
/// `model.safetensors`. Its tokens are the ids of the folder's `tokenizer.json`; `text::Bpe` of maxlik-data
/// counts them from one.
///
/// # Errors
/// [`Error::Config`] naming the file, the entry or the tensor that is missing or does not fit.
pub fn gpt2(
    folder: &Path,
    kind: Kind,
    device: Device,
) -> Result<(TransformerLanguageModel, Params)> {
    let config = Gpt2Config::read(&folder.join("config.json"))?;
    let params = Params::new(0, kind, device);
    let model = TransformerLanguageModel::new(&params.root(), config.vocab_size, &config.ours()?)?;
    let path = folder.join("model.safetensors");
    let found = Tensor::read_safetensors(&path)
        .map_err(|e| Error::config(path.display().to_string(), e.to_string()))?;
    let mut values = BTreeMap::new();
    for (theirs, tensor) in found {
        // Where the head is the embedding, some files hold it twice.
        let kept = name(&theirs).filter(|(ours, _)| ours != "head" || !config.tie_word_embeddings);
        if let Some((ours, turned)) = kept {
            let tensor = if turned { tensor.f_transpose(0, 1)? } else { tensor };
            values.insert(ours, tensor);
        }
    }
    params.load(&values.into_iter().collect::<Vec<_>>())?;
    Ok((model, params))
}
