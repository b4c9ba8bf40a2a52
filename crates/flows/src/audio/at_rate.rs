//! Layers at a lower rate than their context.

use super::squeeze::squeeze;
use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// A layer whose context `[K, T]` is squeezed `times` times, to `[2ⁿ K, T/2ⁿ]`, before it sees it:
/// the context then stays in step with a waveform that has been squeezed as often.
#[derive(Debug)]
pub struct AtRate {
    inner: Box<dyn Bijection>,
    times: usize,
    context: [i64; 2],
}

impl AtRate {
    /// `inner` with a context `[K, T]`.
    ///
    /// # Errors
    /// [`Error::Config`] where `inner` takes another context than the squeezed one.
    pub fn new(inner: Box<dyn Bijection>, context: [i64; 2], times: usize) -> Result<Self> {
        let factor = 1_i64 << times.min(40);
        let squeezed = [context[0] * factor, context[1] / factor];
        let fits = context[1] % factor == 0;
        if !fits || inner.context_shape() != Some(squeezed.as_slice()) {
            let wanted = inner.context_shape();
            let why = format!("{context:?} squeezed {times} times is not {wanted:?}");
            return Err(Error::config("context", why));
        }
        Ok(Self { inner, times, context })
    }

    fn squeezed(&self, context: Option<&Tensor>) -> Result<Option<Tensor>> {
        let Some(context) = context else { return Ok(None) };
        let mut context = context.shallow_clone();
        for _ in 0..self.times {
            context = squeeze(&context)?;
        }
        Ok(Some(context))
    }
}

impl Bijection for AtRate {
    fn domain(&self) -> &[i64] {
        self.inner.domain()
    }

    fn codomain(&self) -> &[i64] {
        self.inner.codomain()
    }

    fn context_shape(&self) -> Option<&[i64]> {
        Some(&self.context)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.inner.map(x, self.squeezed(context)?.as_ref())
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.inner.unmap(z, self.squeezed(context)?.as_ref())
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.inner.initialize(x, self.squeezed(context)?.as_ref())
    }
}
