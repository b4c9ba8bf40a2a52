//! From sequence to sequence.

use super::check_vocabulary;
use crate::{Cache, Decoder, Encoder, Init, Memory, Scope, TransformerConfig};
use maxlik_model::{LanguageModel, Session, check_tokens};
use maxlik_tensor::{Error, Result, threads};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of an [`EncoderDecoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderDecoderConfig {
    /// Both halves; each has so many layers.
    pub transformer: TransformerConfig,
    /// Longest source.
    pub source: i64,
    /// Longest target, its first token included.
    pub target: i64,
    /// Whether the head's weight is the embedding of target tokens.
    pub tied: bool,
}

impl Default for EncoderDecoderConfig {
    fn default() -> Self {
        Self { transformer: TransformerConfig::default(), source: 128, target: 128, tied: true }
    }
}

/// A model `p(y | x) = Π_t p(y_t | y_<t, x)` of targets given sources (Vaswani et al. 2017, "Attention is all
/// you need", arXiv:1706.03762, pre-norm): an [`Encoder`] of the source, and a [`Decoder`] that looks at what
/// it made of it.
///
/// Given a source, it is a language model of targets, [`EncoderDecoder::given`]: every objective and all of
/// [`crate::decode`] take that.
///
/// ```
/// use maxlik_model::LanguageModel;
/// use maxlik_nn::decode::Generation;
/// use maxlik_nn::{EncoderDecoder, EncoderDecoderConfig, Params};
/// use tch::{Device, Kind, Tensor};
///
/// let params = Params::new(7, Kind::Float, Device::Cpu);
/// let config = EncoderDecoderConfig::default();
/// let model = EncoderDecoder::new(&params.root(), [20, 30], &config)?;
/// let source = Tensor::from_slice(&[3_i64, 5, 7, 2, 0, 0]).view([2, 3]);
/// let given = model.given(&source, Some(&source.ne(0)))?;
/// let begin = Tensor::zeros([2, 1], (Kind::Int64, Device::Cpu));
/// let written = Generation { tokens: 4, ..Generation::default() }.run(&mut *given.session(), &begin)?;
/// assert_eq!(written.tokens.size(), [2, 4]);
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct EncoderDecoder {
    source_embedding: Tensor,
    encoder: Encoder,
    writer: Writer,
}

/// What writes targets.
#[derive(Debug)]
struct Writer {
    embedding: Tensor,
    head: Option<Tensor>,
    decoder: Decoder,
}

impl EncoderDecoder {
    /// A model with so many tokens of the source and of the target.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers that do not fit each other.
    pub fn new(
        scope: &Scope<'_>,
        [source, target]: [i64; 2],
        config: &EncoderDecoderConfig,
    ) -> Result<Self> {
        check_vocabulary(source)?;
        check_vocabulary(target)?;
        let trunk = &config.transformer;
        let encoder = Encoder::new(&scope.sub("encoder"), config.source, trunk)?;
        let decoder = Decoder::new(&scope.sub("decoder"), config.target, trunk)?;
        let matrix =
            |name: &str, rows: i64| scope.param(name, &[rows, trunk.width], Init::Normal(0.02));
        let head = (!config.tied).then(|| matrix("head", target)).transpose()?;
        Ok(Self {
            source_embedding: matrix("source_embedding", source)?,
            encoder,
            writer: Writer { embedding: matrix("embedding", target)?, head, decoder },
        })
    }

    /// The language model of targets given these sources, `[B, S]` of 64-bit integers: row `i` of its tokens
    /// is a target of source `i`. Source tokens for which `shown` `[B, S]` is zero or false are padding:
    /// what stands there changes nothing. Sources are encoded here, once, with the graph; parameters are
    /// shared, not copied.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Kind`] for other sources or another mask; [`Error::Config`] for a
    /// source of which nothing is shown.
    pub fn given(&self, source: &Tensor, shown: Option<&Tensor>) -> Result<Given> {
        check_tokens(source, Some(self.encoder.length()))?;
        let h = Tensor::f_embedding(&self.source_embedding, source, -1, false, false)?;
        let encoded = self.encoder.forward(&h, shown)?;
        let memory = self.writer.decoder.memory(&encoded, shown)?;
        Ok(Given { writer: self.writer.share(), memory, rows: source.size()[0] })
    }
}

impl Writer {
    /// The same once more: its tensors are this one's.
    fn share(&self) -> Self {
        Self {
            embedding: self.embedding.shallow_clone(),
            head: self.head.as_ref().map(Tensor::shallow_clone),
            decoder: self.decoder.share(),
        }
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

/// An [`EncoderDecoder`] with its sources: a language model of their targets, for batches with a row for each
/// source. It shares the parameters, and is made anew after each step of training.
#[derive(Debug)]
pub struct Given {
    writer: Writer,
    memory: Memory,
    rows: i64,
}

impl Given {
    /// The same with these rows of the sources, which may repeat: `rows` is `[B']` of indices. Nothing is
    /// encoded again: how several candidates for one source are drawn or scored.
    ///
    /// # Errors
    /// LibTorch's, for an index without a row.
    pub fn select(&self, rows: &Tensor) -> Result<Self> {
        let memory = self.memory.select(rows)?;
        Ok(Self { writer: self.writer.share(), memory, rows: rows.size()[0] })
    }
}

/// A target for each source.
fn check_rows(tokens: &Tensor, rows: i64) -> Result<()> {
    if tokens.size()[0] == rows {
        return Ok(());
    }
    let expected = format!("[{rows}, T], a row for each source");
    Err(Error::shape("tokens", expected, &tokens.size()))
}

impl LanguageModel for Given {
    fn vocabulary(&self) -> i64 {
        self.writer.embedding.size()[0]
    }

    fn length(&self) -> Option<i64> {
        Some(self.writer.decoder.length())
    }

    fn predict(&self, tokens: &Tensor) -> Result<Tensor> {
        check_rows(tokens, self.rows)?;
        let h = self.writer.embed(tokens)?;
        self.writer.project(&self.writer.decoder.forward(&h, &self.memory)?)
    }

    fn session(&self) -> Box<dyn Session + '_> {
        let cache = self.writer.decoder.cache();
        let memory = self.memory.clone();
        Box::new(Writing { writer: &self.writer, memory, rows: self.rows, cache })
    }

    fn embedding(&self) -> Option<Tensor> {
        Some(self.writer.head().shallow_clone())
    }
}

/// Targets under construction: keys and values of their tokens so far, and of their sources.
#[derive(Debug)]
struct Writing<'a> {
    writer: &'a Writer,
    memory: Memory,
    rows: i64,
    cache: Cache,
}

impl Session for Writing<'_> {
    fn extend(&mut self, tokens: &Tensor) -> Result<Tensor> {
        check_tokens(tokens, Some(self.writer.decoder.length() - self.cache.len()))?;
        check_rows(tokens, self.rows)?;
        threads::by_work(tokens.numel() as i64 * self.writer.decoder.width().pow(2), || {
            let h = self.writer.embed(tokens)?;
            let h = self.writer.decoder.extend(&h, &mut self.cache, &self.memory)?;
            self.writer.project(&h)
        })
    }

    fn select(&mut self, rows: &Tensor) -> Result<()> {
        self.memory = self.memory.select(rows)?;
        self.rows = rows.size()[0];
        self.cache.select(rows)
    }
}
