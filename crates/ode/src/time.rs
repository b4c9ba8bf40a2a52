//! Times and step sizes, one for the whole batch or one for each row.

use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// A time or a step size of the rows that are being advanced.
#[derive(Debug)]
pub enum Time {
    /// The same for all rows.
    Shared(f64),
    /// One for each row: `[b]`, in double precision, on the device of the state.
    Each(Tensor),
}

impl Time {
    /// One time for each of `values`, on the device of `like`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn each(values: &[f64], like: &Tensor) -> Result<Self> {
        Ok(Self::Each(Tensor::f_from_slice(values)?.f_to_device(like.device())?))
    }

    /// `self + factor · step`.
    ///
    /// # Errors
    /// LibTorch's, for different numbers of rows.
    pub fn offset(&self, factor: f64, step: &Self) -> Result<Self> {
        Ok(match (self, step) {
            (Self::Shared(t), Self::Shared(dt)) => Self::Shared(t + factor * dt),
            (Self::Shared(t), Self::Each(dt)) => {
                Self::Each(dt.f_mul_scalar(factor)?.f_add_scalar(*t)?)
            }
            (Self::Each(t), Self::Shared(dt)) => Self::Each(t.f_add_scalar(factor * dt)?),
            (Self::Each(t), Self::Each(dt)) => Self::Each(t.f_add(&dt.f_mul_scalar(factor)?)?),
        })
    }

    /// The time `factor · self`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn times(&self, factor: f64) -> Result<Self> {
        Ok(match self {
            Self::Shared(t) => Self::Shared(factor * t),
            Self::Each(t) => Self::Each(t.f_mul_scalar(factor)?),
        })
    }

    /// As the tensor `[b]` that a field is given, in the dtype and on the device of the state `y`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn rows(&self, y: &Tensor) -> Result<Tensor> {
        match self {
            Self::Shared(t) => {
                let rows = y.size().first().copied().unwrap_or(1);
                let scalar = Tensor::f_full([1], *t, (y.kind(), y.device()))?;
                Ok(scalar.f_expand([rows], false)?)
            }
            Self::Each(t) => Ok(t.f_to_kind(y.kind())?),
        }
    }

    /// The times of the rows `index` (`[p]`, integers).
    ///
    /// # Errors
    /// LibTorch's, for rows that are not there.
    pub fn select(&self, index: &Tensor) -> Result<Self> {
        Ok(match self {
            Self::Shared(t) => Self::Shared(*t),
            Self::Each(t) => Self::Each(t.f_index_select(0, index)?),
        })
    }

    /// `self · x`, row by row, for `x` of shape `[b, …]`.
    ///
    /// # Errors
    /// LibTorch's, for another number of rows.
    pub fn scale(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Shared(t) => x.f_mul_scalar(*t)?,
            Self::Each(t) => x.f_mul(&column(t, x)?)?,
        })
    }

    /// `y + self · slope`, row by row.
    ///
    /// # Errors
    /// LibTorch's, for shapes that do not fit.
    pub fn advance(&self, y: &Tensor, slope: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Shared(t) => y.f_add(&slope.f_mul_scalar(*t)?)?,
            Self::Each(t) => y.f_addcmul(slope, &column(t, y)?)?,
        })
    }
}

/// `[b]` as `[b, 1, …]`, so that it broadcasts over the events of `x`, in the dtype of `x`.
pub(crate) fn column(t: &Tensor, x: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.dim().max(1)];
    shape[0] = -1;
    Ok(t.f_to_kind(x.kind())?.f_view(shape.as_slice())?)
}

/// `values` as a tensor of the dtype and on the device of `like`.
pub(crate) fn numbers(values: &[f64], like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_to_device(like.device())?.f_to_kind(like.kind())?)
}

/// `values` as a tensor of indices on the device of `like`.
pub(crate) fn indices(values: &[i64], like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_to_device(like.device())?.f_to_kind(Kind::Int64)?)
}

/// `x` `[b, …]` as `[b, n]`, also for events without dimensions.
pub(crate) fn flat_rows(x: &Tensor) -> Result<Tensor> {
    Ok(if x.dim() == 1 { x.f_unsqueeze(1)? } else { x.f_flatten(1, -1)? })
}
