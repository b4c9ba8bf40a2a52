//! Time into channels.

use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `[C, T] → [2 C, T/2]`: channel `c` becomes the channels `2 c` of even and `2 c + 1` of odd
/// samples. The log-determinant is zero.
#[derive(Debug)]
pub struct Squeeze1d {
    domain: [i64; 2],
    codomain: [i64; 2],
}

/// `[B, C, T] → [B, 2 C, T/2]`.
pub(super) fn squeeze(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    let pairs = x.f_reshape([size[0], size[1], size[2] / 2, 2])?.f_transpose(2, 3)?;
    Ok(pairs.f_reshape([size[0], 2 * size[1], size[2] / 2])?)
}

impl Squeeze1d {
    /// The squeeze of `[C, T]`.
    ///
    /// # Errors
    /// [`Error::Config`] for an odd length.
    pub fn new(domain: [i64; 2]) -> Result<Self> {
        let [channels, length] = domain;
        if length % 2 != 0 {
            return Err(Error::config("squeeze", format!("expected an even length, got {length}")));
        }
        Ok(Self { domain, codomain: [2 * channels, length / 2] })
    }
}

impl Bijection for Squeeze1d {
    fn domain(&self) -> &[i64] {
        &self.domain
    }

    fn codomain(&self) -> &[i64] {
        &self.codomain
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(squeeze(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let ([channels, length], rows) = (self.domain, z.size()[0]);
        let pairs = z.f_reshape([rows, channels, 2, length / 2])?.f_transpose(2, 3)?;
        Mapped::volume_preserving(pairs.f_reshape([rows, channels, length])?)
    }
}
