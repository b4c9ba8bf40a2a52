//! Space into channels.

use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `[C, H, W] → [4 C, H/2, W/2]`: each square of 2 × 2 pixels becomes four channels, channel `c`'s
/// in the order `4 c + 2 row + column` (Dinh et al. 2017, arXiv:1605.08803, section 3.6). The
/// log-determinant is zero.
#[derive(Debug)]
pub struct Squeeze2d {
    domain: [i64; 3],
    codomain: [i64; 3],
}

impl Squeeze2d {
    /// The squeeze of images `[C, H, W]`.
    ///
    /// # Errors
    /// [`Error::Config`] for odd sides.
    pub fn new(domain: [i64; 3]) -> Result<Self> {
        let [c, h, w] = domain;
        if h % 2 != 0 || w % 2 != 0 {
            return Err(Error::config("squeeze", format!("expected even sides, got {h}×{w}")));
        }
        Ok(Self { domain, codomain: [4 * c, h / 2, w / 2] })
    }
}

impl Bijection for Squeeze2d {
    fn domain(&self) -> &[i64] {
        &self.domain
    }

    fn codomain(&self) -> &[i64] {
        &self.codomain
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let ([c, h, w], rows) = (self.domain, x.size()[0]);
        let x = x.f_reshape([rows, c, h / 2, 2, w / 2, 2])?.f_permute([0, 1, 3, 5, 2, 4])?;
        Mapped::volume_preserving(x.f_reshape([rows, 4 * c, h / 2, w / 2])?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let ([c, h, w], rows) = (self.domain, z.size()[0]);
        let z = z.f_reshape([rows, c, 2, 2, h / 2, w / 2])?.f_permute([0, 1, 4, 2, 5, 3])?;
        Mapped::volume_preserving(z.f_reshape([rows, c, h, w])?)
    }
}
