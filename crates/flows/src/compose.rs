//! Bijections one after another.

use crate::score;
use maxlik_model::{Bijection, Mapped, PropagateScore, Propagated};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `f_n ∘ … ∘ f_1`: layers in the order in which data pass them; log-determinants add up.
///
/// The context goes to those layers that take one; they must agree on its shape.
#[derive(Debug)]
pub struct Compose {
    layers: Vec<Box<dyn Bijection>>,
    context: Option<Vec<i64>>,
}

impl Compose {
    /// A stack of at least one layer.
    ///
    /// # Errors
    /// [`Error::Config`] for no layers, for neighbours whose shapes differ, and for contexts that do.
    pub fn new(layers: Vec<Box<dyn Bijection>>) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::config("layers", "expected at least one layer"));
        }
        for (i, pair) in layers.windows(2).enumerate() {
            if pair[0].codomain() != pair[1].domain() {
                let (out, into) = (pair[0].codomain(), pair[1].domain());
                let why = format!("layer {i} gives {out:?}, layer {} takes {into:?}", i + 1);
                return Err(Error::config("layers", why));
            }
        }
        let mut context: Option<Vec<i64>> = None;
        for (i, layer) in layers.iter().enumerate() {
            let Some(shape) = layer.context_shape() else { continue };
            if context.as_deref().is_some_and(|known| known != shape) {
                let why =
                    format!("layer {i} takes a context {shape:?}, those before take {context:?}");
                return Err(Error::config("layers", why));
            }
            context = Some(shape.to_vec());
        }
        Ok(Self { layers, context })
    }

    fn run<'a>(
        &'a self,
        layers: impl Iterator<Item = &'a Box<dyn Bijection>>,
        x: &Tensor,
        mut step: impl FnMut(&dyn Bijection, &Tensor) -> Result<Mapped>,
    ) -> Result<Mapped> {
        let mut done: Option<Mapped> = None;
        for layer in layers {
            let input = done.as_ref().map_or(x, |mapped| &mapped.value);
            let next = step(layer.as_ref(), input)?;
            done = Some(match done {
                Some(before) => {
                    Mapped { value: next.value, log_det: before.log_det.f_add(&next.log_det)? }
                }
                None => next,
            });
        }
        done.ok_or_else(|| Error::config("layers", "expected at least one layer"))
    }
}

/// The context, where this layer takes one.
fn taken<'c>(layer: &dyn Bijection, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
    layer.context_shape().and(context)
}

impl Bijection for Compose {
    fn domain(&self) -> &[i64] {
        self.layers.first().map_or(&[], |layer| layer.domain())
    }

    fn codomain(&self) -> &[i64] {
        self.layers.last().map_or(&[], |layer| layer.codomain())
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.run(self.layers.iter(), x, |layer, x| layer.map(x, taken(layer, context)))
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.run(self.layers.iter().rev(), z, |layer, z| layer.unmap(z, taken(layer, context)))
    }

    fn map_unnormalized(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.run(self.layers.iter(), x, |layer, x| layer.map_unnormalized(x, taken(layer, context)))
    }

    fn propagation(&self) -> Option<&dyn PropagateScore> {
        Some(self)
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut value = x.shallow_clone();
        for layer in &self.layers {
            value = layer.initialize(&value, taken(layer.as_ref(), context))?;
        }
        Ok(value)
    }
}

impl PropagateScore for Compose {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        let mut along = score.shallow_clone();
        let mapped = self.run(self.layers.iter(), x, |layer, x| {
            let next = score::map_score(layer, x, &along, taken(layer, context))?;
            along = next.score;
            Ok(next.mapped)
        })?;
        Ok(Propagated { mapped, score: along })
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        let mut along = score.shallow_clone();
        let mapped = self.run(self.layers.iter().rev(), z, |layer, z| {
            let next = score::unmap_score(layer, z, &along, taken(layer, context))?;
            along = next.score;
            Ok(next.mapped)
        })?;
        Ok(Propagated { mapped, score: along })
    }
}
