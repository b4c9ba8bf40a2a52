//! Rotary positions.

use crate::Scope;
use maxlik_tensor::{Error, Result};
use tch::{Device, Kind, Tensor};

/// Tables of `cos` and `sin` of `place · base^(−2j/w)` for all places and `j < w/2`.
#[derive(Debug)]
pub(super) struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

/// The rows of the tables that some tokens need, `[t, w/2]`.
#[derive(Debug)]
pub(super) struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    pub(super) fn new(length: i64, width: i64, base: f64, scope: &Scope<'_>) -> Result<Self> {
        let options = (Kind::Double, Device::Cpu);
        let exponent = Tensor::f_arange(width / 2, options)? * (-2.0 / width as f64 * base.ln());
        let places = Tensor::f_arange(length, options)?;
        let angle = places.f_outer(&exponent.f_exp()?)?;
        let table = |t: Tensor| -> Result<Tensor> {
            Ok(t.f_to_kind(scope.kind())?.f_to_device(scope.device())?)
        };
        Ok(Self { cos: table(angle.f_cos()?)?, sin: table(angle.f_sin()?)? })
    }

    /// The same once more: its tensors are this one's.
    pub(super) fn share(&self) -> Self {
        Self { cos: self.cos.shallow_clone(), sin: self.sin.shallow_clone() }
    }

    pub(super) fn at(
        &self,
        rows: impl Fn(&Tensor) -> std::result::Result<Tensor, tch::TchError>,
    ) -> Result<Rotation> {
        Ok(Rotation { cos: rows(&self.cos)?, sin: rows(&self.sin)? })
    }
}

impl Rotation {
    /// Rotates the pairs `(x_j, x_{j + w/2})` of `[B, H, t, w]`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let halves = x.f_chunk(2, -1)?;
        let [a, b] = halves.as_slice() else {
            return Err(Error::shape("heads", "[…, w] with w even", &x.size()));
        };
        let first = a * &self.cos - b * &self.sin;
        let second = a * &self.sin + b * &self.cos;
        Ok(Tensor::f_cat(&[first, second], -1)?)
    }
}
