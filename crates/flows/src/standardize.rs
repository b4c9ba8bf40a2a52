//! A fixed shift and scale of the data.

use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// `z = (x − shift) / scale` with fixed tensors of the event's shape: preprocessing that is part of
/// the model, so that its log-density is in the units of the data.
///
/// `ln |det| = −Σ ln |scale|`.
#[derive(Debug)]
pub struct Standardize {
    shape: Vec<i64>,
    shift: Tensor,
    scale: Tensor,
}

impl Standardize {
    /// The map with these constants, which become buffers of the model.
    ///
    /// # Errors
    /// [`Error::Shape`] where they differ in shape, [`Error::NotInvertible`] for a scale of zero,
    /// [`Error::NonFinite`] for other than finite numbers.
    pub fn new(scope: &Scope<'_>, shift: &Tensor, scale: &Tensor) -> Result<Self> {
        let shape = shift.size();
        check::shape("scale", scale, &shape)?;
        check::finite("shift", shift)?;
        check::finite("scale", scale)?;
        if bool::try_from(scale.f_eq(0.0)?.f_any()?)? {
            return Err(Error::NotInvertible {
                what: "standardisation with a scale of zero".to_owned(),
            });
        }
        let shift = scope.buffer("shift", &shift.f_to_kind(scope.kind())?)?;
        let scale = scope.buffer("scale", &scale.f_to_kind(scope.kind())?)?;
        Ok(Self { shape, shift, scale })
    }

    fn log_det(&self, x: &Tensor) -> Result<Tensor> {
        let one = -self.scale.f_abs()?.f_log()?.f_sum(None::<Kind>)?;
        Ok(one.f_expand([x.size()[0]], false)?)
    }
}

impl Standardize {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        Ok((x - &self.shift) / &self.scale)
    }
}

impl Bijection for Standardize {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Ok(Mapped { value: self.value(x)?, log_det: self.log_det(x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Ok(Mapped { value: z * &self.scale + &self.shift, log_det: -self.log_det(z)? })
    }
}
