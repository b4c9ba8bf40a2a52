//! Invertible maps.

use crate::PropagateScore;
use maxlik_tensor::{Result, check};
use std::fmt::Debug;
use tch::Tensor;

/// The result of a bijection.
#[derive(Debug)]
pub struct Mapped {
    /// The mapped tensor, `[B, …]`.
    pub value: Tensor,
    /// `ln |det J|` of the map just applied, `[B]`, event dimensions summed, in nats.
    pub log_det: Tensor,
}

impl Mapped {
    /// A result whose log-determinant is zero for each of the rows of `value`.
    ///
    /// # Errors
    /// LibTorch's, where no memory is left.
    pub fn volume_preserving(value: Tensor) -> Result<Self> {
        let rows = value.size().first().copied().unwrap_or_default();
        let log_det = Tensor::f_zeros([rows], (value.kind(), value.device()))?;
        Ok(Self { value, log_det })
    }
}

/// An invertible map: [`Bijection::forward`] goes from data to latent, [`Bijection::inverse`] back.
pub trait Bijection: Debug + Send {
    /// Event shape on the data side.
    fn domain(&self) -> &[i64];

    /// Event shape on the latent side.
    fn codomain(&self) -> &[i64] {
        self.domain()
    }

    /// Event shape of the context that the map is conditioned on, if any.
    fn context_shape(&self) -> Option<&[i64]> {
        None
    }

    /// Data to latent, unchecked: `x` is `[B, domain…]`, and the context fits.
    ///
    /// # Errors
    /// What the mathematics meets, such as a singular matrix.
    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped>;

    /// Latent to data, unchecked; `log_det` is that of the inverse map.
    ///
    /// # Errors
    /// What the mathematics meets, such as an inverse that does not converge.
    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped>;

    /// Data to latent.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Shape`], `Kind` or `Device` naming the argument that does not fit,
    /// and those of [`Bijection::map`].
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        check::floating("x", x)?;
        check::batch_of("x", x, self.domain())?;
        check::context(x, context, self.context_shape())?;
        self.map(x, context)
    }

    /// Latent to data; `log_det` is that of the inverse map, minus that of [`Bijection::forward`]
    /// at the matching point.
    ///
    /// # Errors
    /// As [`Bijection::forward`].
    fn inverse(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        check::floating("z", z)?;
        check::batch_of("z", z, self.codomain())?;
        check::context(z, context, self.context_shape())?;
        self.unmap(z, context)
    }

    /// As [`Bijection::map`], but `log_det` may lack what does not depend on `x`: all that an energy
    /// or a score needs. A layer whose Jacobian is the same everywhere returns zeros here, without
    /// computing its determinant (Chao et al. 2023, "Training energy-based normalizing flow with
    /// score-matching objectives", arXiv:2305.15267, section 4).
    ///
    /// # Errors
    /// As [`Bijection::map`].
    fn map_unnormalized(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.map(x, context)
    }

    /// This layer's own rule for carrying scores along, where it has one that beats a gradient
    /// through its inverse.
    fn propagation(&self) -> Option<&dyn PropagateScore> {
        None
    }

    /// Lets a layer whose initial values come from data (ActNorm) take them from this batch, and
    /// returns the mapped batch for the layers that follow. Does nothing the second time.
    ///
    /// # Errors
    /// As [`Bijection::map`].
    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.map(x, context)?.value)
    }
}
