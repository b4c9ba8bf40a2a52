//! The ways to invert a block.

use super::block::TarBlock;
use super::gaussian::TokenGaussian;
use super::guidance::{Guidance, Reference};
use maxlik_model::Mapped;
use maxlik_nn::Cache;
use maxlik_tensor::{Result, host};
use tch::Tensor;

impl TarBlock {
    /// Token by token; each costs one token's pass, because keys and values are cached.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn unmap_sequential(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let embedding = self.embed(context)?;
        let mut cache = self.transformer.cache();
        self.token_by_token(z, |x, start| {
            let before = last(x, start)?;
            self.conditionals(&before, start, embedding.as_ref(), Some(&mut cache))
        })
    }

    /// The same without a cache: each token costs a pass over all those before it.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn unmap_recomputed(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let embedding = self.embed(context)?;
        self.token_by_token(z, |x, start| {
            let all = self.conditionals(x, 0, embedding.as_ref(), None)?;
            let one = |t: &Tensor| t.f_narrow(1, start, 1);
            Ok(TokenGaussian { mean: one(&all.mean)?, log_std: one(&all.log_std)? })
        })
    }

    /// As [`TarBlock::unmap_sequential`], with the conditional of each token moved away from that of
    /// a reference. `log_det` is that of the guided map, whose inverse is no [`TarBlock`].
    ///
    /// # Errors
    /// LibTorch's, for a reference context of another shape.
    pub fn unmap_guided(
        &self,
        z: &Tensor,
        context: Option<&Tensor>,
        guidance: &Guidance,
        reference: &Reference,
    ) -> Result<Mapped> {
        let (other, temperature) = match reference {
            Reference::Context(other) => (self.embed(Some(other))?, 1.0),
            Reference::Attention { temperature } => (self.embed(context)?, *temperature),
        };
        let embedding = self.embed(context)?;
        let mut cache = self.transformer.cache();
        let mut other_cache = self.transformer.cache().at_temperature(temperature);
        self.token_by_token(z, |x, start| {
            let before = last(x, start)?;
            let one = self.conditionals(&before, start, embedding.as_ref(), Some(&mut cache))?;
            let two = self.conditionals(&before, start, other.as_ref(), Some(&mut other_cache))?;
            guidance.combine(&one, &two, start, self.tokens())
        })
    }

    /// The fixed-point iteration of [`super::Inversion::Jacobi`].
    ///
    /// # Errors
    /// LibTorch's.
    pub fn unmap_jacobi(
        &self,
        z: &Tensor,
        context: Option<&Tensor>,
        chunk: i64,
        tolerance: f64,
    ) -> Result<Mapped> {
        let embedding = self.embed(context)?;
        let z = self.ordered(z)?;
        let mut cache = self.transformer.cache();
        let mut x = z.f_narrow(1, 0, 0)?;
        let mut log_det = Tensor::f_zeros([z.size()[0]], (z.kind(), z.device()))?;
        let mut start = 0;
        while start < self.tokens() {
            let count = chunk.min(self.tokens() - start);
            let before = last(&x, start)?;
            let done =
                settle(&z.f_narrow(1, start, count)?, tolerance, &mut cache, |guess, cache| {
                    let before = Tensor::f_cat(&[&before, &guess.f_narrow(1, 0, count - 1)?], 1)?;
                    self.conditionals(&before, start, embedding.as_ref(), Some(cache))
                })?;
            log_det = log_det.f_add(&done.log_det)?;
            x = Tensor::f_cat(&[x, done.value], 1)?;
            start += count;
        }
        Ok(Mapped { value: self.unordered(&x)?, log_det })
    }

    /// Solves token after token; `next` gives the conditional of token `start` from all before.
    fn token_by_token(
        &self,
        z: &Tensor,
        mut next: impl FnMut(&Tensor, i64) -> Result<TokenGaussian>,
    ) -> Result<Mapped> {
        let z = self.ordered(z)?;
        let mut x = z.f_narrow(1, 0, 0)?;
        let mut log_det = Tensor::f_zeros([z.size()[0]], (z.kind(), z.device()))?;
        for token in 0..self.tokens() {
            let gaussian = next(&x, token)?;
            let value = gaussian.restore(&z.f_narrow(1, token, 1)?)?;
            log_det = log_det.f_add(&gaussian.log_volume()?)?;
            x = Tensor::f_cat(&[x, value], 1)?;
        }
        Ok(Mapped { value: self.unordered(&x)?, log_det })
    }
}

/// Iterates one chunk. After as many sweeps as it has tokens, all that the last sweep saw was exact;
/// so are then the value and the cache.
fn settle(
    z: &Tensor,
    tolerance: f64,
    cache: &mut Cache,
    conditionals: impl Fn(&Tensor, &mut Cache) -> Result<TokenGaussian>,
) -> Result<Mapped> {
    let (before, count) = (cache.len(), z.size()[1]);
    let mut guess = z.shallow_clone();
    let mut sweep = 0;
    loop {
        cache.truncate(before);
        let gaussian = conditionals(&guess, cache)?;
        let next = gaussian.restore(z)?;
        sweep += 1;
        // The last sweep needs no look at the numbers, which would wait for the device.
        if sweep >= count || next.numel() == 0 || moved(&next, &guess)? <= tolerance {
            return Ok(Mapped { value: next, log_det: gaussian.log_volume()? });
        }
        guess = next;
    }
}

/// The token before `start`, or none at the very start.
fn last(x: &Tensor, start: i64) -> Result<Tensor> {
    let from = (start - 1).max(0);
    Ok(x.f_narrow(1, from, start - from)?)
}

/// The largest difference.
fn moved(a: &Tensor, b: &Tensor) -> Result<f64> {
    host::scalar(&a.f_sub(b)?.f_abs()?.f_max()?)
}
