//! Events of one shape as events of another.

use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// The same numbers in another shape, in row-major order; the log-determinant is zero.
#[derive(Debug)]
pub struct Reshape {
    domain: Vec<i64>,
    codomain: Vec<i64>,
}

impl Reshape {
    /// From events `domain` to events `codomain`.
    ///
    /// # Errors
    /// [`Error::Config`] where they do not hold equally many numbers.
    pub fn new(domain: &[i64], codomain: &[i64]) -> Result<Self> {
        if domain.iter().product::<i64>() != codomain.iter().product::<i64>() {
            let why = format!("{domain:?} and {codomain:?} hold different amounts of numbers");
            return Err(Error::config("shape", why));
        }
        Ok(Self { domain: domain.to_vec(), codomain: codomain.to_vec() })
    }

    fn to(x: &Tensor, event: &[i64]) -> Result<Mapped> {
        let mut shape = vec![x.size()[0]];
        shape.extend_from_slice(event);
        Mapped::volume_preserving(x.f_reshape(shape.as_slice())?)
    }
}

impl Bijection for Reshape {
    fn domain(&self) -> &[i64] {
        &self.domain
    }

    fn codomain(&self) -> &[i64] {
        &self.codomain
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Self::to(x, &self.codomain)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Self::to(z, &self.domain)
    }
}
