//! Images as sequences of patches.

use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `[C, H, W] → [T, C p²]`: patches of `p × p` pixels as tokens, row after row, a token's numbers in
/// the order channel, row, column. The log-determinant is zero.
#[derive(Debug)]
pub struct Patchify {
    image: [i64; 3],
    tokens: [i64; 2],
    patch: i64,
}

impl Patchify {
    /// Patches of `patch × patch` pixels of images `[C, H, W]`.
    ///
    /// # Errors
    /// [`Error::Config`] where patches do not tile the image.
    pub fn new(image: [i64; 3], patch: i64) -> Result<Self> {
        let [channels, height, width] = image;
        if patch < 1 || height % patch != 0 || width % patch != 0 {
            let why = format!("expected a side that divides {height}×{width}, got {patch}");
            return Err(Error::config("patch", why));
        }
        let tokens = [(height / patch) * (width / patch), channels * patch * patch];
        Ok(Self { image, tokens, patch })
    }

    /// Number of tokens and numbers in each.
    #[must_use]
    pub fn tokens(&self) -> [i64; 2] {
        self.tokens
    }
}

impl Bijection for Patchify {
    fn domain(&self) -> &[i64] {
        &self.image
    }

    fn codomain(&self) -> &[i64] {
        &self.tokens
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let ([c, h, w], p, rows) = (self.image, self.patch, x.size()[0]);
        let x = x.f_reshape([rows, c, h / p, p, w / p, p])?.f_permute([0, 2, 4, 1, 3, 5])?;
        Mapped::volume_preserving(x.f_reshape([rows, self.tokens[0], self.tokens[1]])?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let ([c, h, w], p, rows) = (self.image, self.patch, z.size()[0]);
        let x = z.f_reshape([rows, h / p, w / p, c, p, p])?.f_permute([0, 3, 1, 4, 2, 5])?;
        Mapped::volume_preserving(x.f_reshape([rows, c, h, w])?)
    }
}
