//! A block: a masked autoregressive affine map with a causal transformer.

use super::config::{Inversion, Start, TarBlockConfig};
use super::gaussian::{TokenGaussian, parameters};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Cache, CausalTransformer, Init, Linear, Scope};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// What a block works on.
#[derive(Debug, Clone, Copy)]
pub struct TarBlockShape<'a> {
    /// Channels of a token.
    pub channels: i64,
    /// The tokens in the order in which they are conditioned on each other: a permutation.
    pub order: &'a [i64],
    /// Size of the context, if any.
    pub context: Option<i64>,
}

/// `z_i = (x_i − μ_i) / σ_i` for tokens `x_i` of `[T, C]`, where a causal transformer computes `μ_i`
/// and `σ_i` from the tokens before `i` in the block's order (TARFlow, arXiv:2412.06329, eqs. 4–6).
///
/// `ln |det| = −Σ ln σ`. The transformer's output starts at zero, and so the block as the identity.
/// Positions follow the tokens under the order. A context, such as a class as a one-hot row, is
/// embedded linearly and added to every token, so that the row `1/K` stands for the mean of `K`
/// classes. One transformer pass forward; the inverse is [`Inversion`]'s.
#[derive(Debug)]
pub struct TarBlock {
    shape: [i64; 2],
    context: Option<[i64; 1]>,
    pub(super) config: TarBlockConfig,
    input: Linear,
    start: Option<Tensor>,
    embedding: Option<Tensor>,
    pub(super) transformer: CausalTransformer,
    output: Linear,
    order: Tensor,
    undo: Tensor,
}

impl TarBlock {
    /// The identity on `[T, C]`.
    ///
    /// # Errors
    /// [`Error::Config`] for an order that is no permutation, and for numbers that do not fit.
    pub fn new(scope: &Scope<'_>, at: TarBlockShape<'_>, config: &TarBlockConfig) -> Result<Self> {
        config.check()?;
        let TarBlockShape { channels, order, context } = at;
        let (tokens, width) = (order.len() as i64, config.transformer.width);
        let mut undo = vec![-1; order.len()];
        for (i, &token) in order.iter().enumerate() {
            if let Some(place) = usize::try_from(token).ok().and_then(|t| undo.get_mut(t)) {
                *place = i as i64;
            }
        }
        if undo.contains(&-1) || channels < 1 {
            let why = format!("expected a permutation of the tokens, got {order:?}");
            return Err(Error::config("order", why));
        }
        let transformer = CausalTransformer::new(scope, tokens.max(1), &config.transformer)?;
        let zero = Init::Constant(0.0);
        let outputs = channels * parameters(config);
        let embed = |size: i64| scope.param("context", &[width, size], Init::Normal(0.1));
        let start = || scope.param("start", &[width], Init::Normal(0.1));
        let index = |values: &[i64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_to_device(scope.device())?)
        };
        Ok(Self {
            shape: [tokens, channels],
            context: context.map(|size| [size]),
            config: config.clone(),
            input: Linear::new(&scope.sub("input"), channels, width)?,
            start: (config.start == Start::Sos).then(start).transpose()?,
            embedding: context.map(embed).transpose()?,
            transformer: transformer.at_places(order)?,
            output: Linear::with_init(&scope.sub("output"), width, outputs, zero, zero)?,
            order: index(order)?,
            undo: index(&undo)?,
        })
    }

    pub(super) fn tokens(&self) -> i64 {
        self.shape[0]
    }

    /// What the context adds to every token, `[B, 1, W]`.
    pub(super) fn embed(&self, context: Option<&Tensor>) -> Result<Option<Tensor>> {
        let (Some(weight), Some(context)) = (&self.embedding, context) else { return Ok(None) };
        Ok(Some(context.f_linear(weight, None::<&Tensor>)?.f_unsqueeze(1)?))
    }

    /// The tokens in the block's order.
    pub(super) fn ordered(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_index_select(1, &self.order)?)
    }

    /// The tokens in the data's order.
    pub(super) fn unordered(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_index_select(1, &self.undo)?)
    }

    /// The conditionals of ordered tokens from `start` on, given those one place before each of
    /// them: `[B, t, C]`, one fewer from the very first token, which none comes before. A cache holds
    /// what came before `start`, and grows.
    pub(super) fn conditionals(
        &self,
        before: &Tensor,
        start: i64,
        embedding: Option<&Tensor>,
        cache: Option<&mut Cache>,
    ) -> Result<TokenGaussian> {
        let size = before.size();
        let first = start == 0;
        let mut h = self.input.forward(before)?;
        if let (true, Some(start)) = (first, &self.start) {
            let start = start.f_expand([size[0], 1, start.size()[0]], false)?;
            h = Tensor::f_cat(&[start, h], 1)?;
        }
        if let Some(embedding) = embedding {
            h = h.f_add(embedding)?;
        }
        let outputs = self.shape[1] * parameters(&self.config);
        let mut raw = if h.size()[1] == 0 {
            Tensor::f_zeros([size[0], 0, outputs], (h.kind(), h.device()))?
        } else {
            let h = match cache {
                Some(cache) => self.transformer.extend(&h, cache)?,
                None => self.transformer.forward(&h)?,
            };
            self.output.forward(&h)?
        };
        if first && self.start.is_none() {
            let kept = Tensor::f_zeros([size[0], 1, outputs], (raw.kind(), raw.device()))?;
            raw = Tensor::f_cat(&[kept, raw], 1)?;
        }
        TokenGaussian::read(&raw, self.shape[1], &self.config)
    }
}

impl Bijection for TarBlock {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_ref().map(<[i64; 1]>::as_slice)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let x = self.ordered(x)?;
        let before = x.f_narrow(1, 0, self.tokens() - 1)?;
        let embedding = self.embed(context)?;
        let gaussian = self.conditionals(&before, 0, embedding.as_ref(), None)?;
        let value = self.unordered(&gaussian.standardize(&x)?)?;
        Ok(Mapped { value, log_det: -gaussian.log_volume()? })
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        match self.config.inversion {
            Inversion::Sequential {} => self.unmap_sequential(z, context),
            Inversion::Jacobi { chunk, tolerance } => {
                self.unmap_jacobi(z, context, chunk, tolerance)
            }
        }
    }
}
