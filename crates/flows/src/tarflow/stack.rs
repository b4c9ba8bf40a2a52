//! Blocks one after another.

use super::block::{TarBlock, TarBlockShape};
use super::config::{Conditioned, Ordering, TarflowConfig};
use super::guidance::{Guidance, Reference};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// Transformer blocks on `[T, C]` that take the tokens in alternating order.
#[derive(Debug)]
pub struct TarStack {
    blocks: Vec<TarBlock>,
    shape: [i64; 2],
    context: Option<[i64; 1]>,
}

impl TarStack {
    /// The identity on `[T, C]`.
    ///
    /// # Errors
    /// [`Error::Config`] for no blocks, and those of [`TarBlock::new`].
    pub fn new(
        scope: &Scope<'_>,
        shape: [i64; 2],
        context: Option<i64>,
        config: &TarflowConfig,
    ) -> Result<Self> {
        if config.layers.is_empty() {
            return Err(Error::config("layers", "expected at least one block"));
        }
        let count = config.layers.len();
        let build = |(i, &layers): (usize, &usize)| {
            let mut order: Vec<i64> = (0..shape[0]).collect();
            if config.ordering == Ordering::Alternating && i % 2 == 1 {
                order.reverse();
            }
            let sees = config.conditioned == Conditioned::All || i + 1 == count;
            let at = TarBlockShape {
                channels: shape[1],
                order: &order,
                context: context.filter(|_| sees),
            };
            let mut block = config.block.clone();
            block.transformer.layers = layers;
            TarBlock::new(&scope.sub(i), at, &block)
        };
        let blocks = config.layers.iter().enumerate().map(build).collect::<Result<_>>()?;
        Ok(Self { blocks, shape, context: context.map(|size| [size]) })
    }

    /// The blocks, in the order in which data pass them.
    #[must_use]
    pub fn blocks(&self) -> &[TarBlock] {
        &self.blocks
    }

    /// `Σ_k mean(x_k²)` over the outputs of all blocks but the last, a scalar: STARFlow adds
    /// `10⁻⁴` times this to its loss, so that no block blows up what the next one shrinks.
    ///
    /// # Errors
    /// As [`Bijection::forward`].
    pub fn inner_energy(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        check::batch_of("x", x, &self.shape)?;
        let mut sum = Tensor::f_zeros([], (x.kind(), x.device()))?;
        let mut value = x.shallow_clone();
        for block in self.blocks.iter().take(self.blocks.len().saturating_sub(1)) {
            value = block.map(&value, taken(block, context))?.value;
            sum = sum.f_add(&value.f_square()?.f_mean(None::<Kind>)?)?;
        }
        Ok(sum)
    }

    /// Latent to data with [`Guidance`] in every block that the reference differs in: those with a
    /// context, or all of them for [`Reference::Attention`].
    ///
    /// # Errors
    /// As [`Bijection::inverse`].
    pub fn inverse_guided(
        &self,
        z: &Tensor,
        context: Option<&Tensor>,
        guidance: &Guidance,
        reference: &Reference,
    ) -> Result<Tensor> {
        check::batch_of("z", z, &self.shape)?;
        check::context(z, context, self.context_shape())?;
        if let Reference::Context(other) = reference {
            check::context(z, Some(other), self.context_shape())?;
        }
        let mut value = z.shallow_clone();
        for block in self.blocks.iter().rev() {
            let context = taken(block, context);
            let plain = context.is_none() && matches!(reference, Reference::Context(_));
            value = if plain {
                block.unmap(&value, context)?.value
            } else {
                block.unmap_guided(&value, context, guidance, reference)?.value
            };
        }
        Ok(value)
    }
}

/// The context, where this block takes one.
fn taken<'c>(block: &TarBlock, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
    block.context_shape().and(context)
}

impl Bijection for TarStack {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_ref().map(<[i64; 1]>::as_slice)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let mut all = Mapped::volume_preserving(x.shallow_clone())?;
        for block in &self.blocks {
            let next = block.map(&all.value, taken(block, context))?;
            all = Mapped { value: next.value, log_det: all.log_det.f_add(&next.log_det)? };
        }
        Ok(all)
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let mut all = Mapped::volume_preserving(z.shallow_clone())?;
        for block in self.blocks.iter().rev() {
            let next = block.unmap(&all.value, taken(block, context))?;
            all = Mapped { value: next.value, log_det: all.log_det.f_add(&next.log_det)? };
        }
        Ok(all)
    }
}
