//! A map of the channels, applied at every place: 1×1 convolutions.

use super::{DenseLinear, QrLinear};
use crate::{Compose, LuLinear, Permutation};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The matrix of a 1×1 convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointwiseBy {
    /// Dense, from a random orthogonal one.
    #[default]
    Plain,
    /// A fixed random permutation, then the LU factors of [`LuLinear`].
    Lu,
    /// As many Householder reflections as channels, and a triangular factor.
    Qr,
}

/// Applies a bijection on `[C]` at every place of an event `[C, …]`, with the same parameters. With a
/// linear one this is the invertible 1×1 convolution (Kingma and Dhariwal 2018, "Glow",
/// arXiv:1807.03039, section 3.2).
///
/// `ln |det|` is the sum over the places: `places · ln |det W|` for a matrix `W`.
#[derive(Debug)]
pub struct Pointwise {
    shape: Vec<i64>,
    inner: Box<dyn Bijection>,
}

impl Pointwise {
    /// The 1×1 convolution on events `[C, …]`.
    ///
    /// # Errors
    /// [`Error::Config`] for an event without a channel dimension.
    pub fn convolution(scope: &Scope<'_>, shape: &[i64], by: PointwiseBy) -> Result<Self> {
        let channels = shape.first().copied().unwrap_or_default();
        let inner: Box<dyn Bijection> = match by {
            PointwiseBy::Plain => Box::new(DenseLinear::new(scope, channels)?),
            PointwiseBy::Qr => Box::new(QrLinear::new(scope, channels, channels)?),
            PointwiseBy::Lu => Box::new(Compose::new(vec![
                Box::new(Permutation::random(&scope.sub("permutation"), channels)?),
                Box::new(LuLinear::new(scope, channels)?),
            ])?),
        };
        Self::new(shape, inner)
    }

    /// Any bijection on `[C]` without a context.
    ///
    /// # Errors
    /// [`Error::Config`] where it maps other than the channels, or takes a context.
    pub fn new(shape: &[i64], inner: Box<dyn Bijection>) -> Result<Self> {
        let channels = shape.get(..1).unwrap_or_default();
        if channels.is_empty() || inner.domain() != channels || inner.codomain() != channels {
            let why = format!("expected a map of the channels of {shape:?}");
            return Err(Error::config("shape", why));
        }
        if inner.context_shape().is_some() {
            return Err(Error::config("inner", "expected a map without a context"));
        }
        Ok(Self { shape: shape.to_vec(), inner })
    }

    fn apply(
        &self,
        x: &Tensor,
        step: impl FnOnce(&dyn Bijection, &Tensor) -> Result<Mapped>,
    ) -> Result<Mapped> {
        let (rows, channels) = (x.size()[0], self.shape[0]);
        let places: i64 = self.shape[1..].iter().product();
        let flat = x.f_reshape([rows, channels, places])?.f_transpose(1, 2)?;
        let Mapped { value, log_det } =
            step(self.inner.as_ref(), &flat.f_reshape([rows * places, channels])?)?;
        let value = value.f_reshape([rows, places, channels])?.f_transpose(1, 2)?;
        let log_det = log_det.f_reshape([rows, places])?;
        Ok(Mapped {
            value: value.f_reshape(x.size().as_slice())?,
            log_det: log_det.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?,
        })
    }
}

impl Bijection for Pointwise {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(x, |inner, x| inner.map(x, None))
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(x, |inner, x| inner.map_unnormalized(x, None))
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(z, |inner, z| inner.unmap(z, None))
    }
}
