//! Right-hand sides of `dy/dt = f(t, y)`.

use maxlik_model::VectorField;
use maxlik_tensor::Result;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tch::Tensor;

/// Which rows of the original batch are being advanced: a solver with a step size for each sample
/// drops those that are done.
#[derive(Debug, Default)]
pub struct Rows(Option<Tensor>);

impl Rows {
    /// All rows of the batch.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// The rows `index`, `[b]`.
    #[must_use]
    pub fn of(index: Tensor) -> Self {
        Self(Some(index))
    }

    /// Those rows of `x`, whose dimension `dim` runs over the original batch.
    ///
    /// # Errors
    /// LibTorch's, for a smaller tensor.
    pub fn select(&self, dim: i64, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.0 {
            None => x.shallow_clone(),
            Some(index) => x.f_index_select(dim, index)?,
        })
    }

    /// The indices of the rows, where they are not all.
    #[must_use]
    pub fn index(&self) -> Option<&Tensor> {
        self.0.as_ref()
    }
}

impl Clone for Rows {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(Tensor::shallow_clone))
    }
}

/// The right-hand side of `dy/dt = f(t, y)` for a batch of independent rows.
pub trait Field {
    /// `f(t, y)` for `t` of shape `[b]` and `y` of shape `[b, …]`, of the shape of `y`.
    ///
    /// `rows` tells which rows of the original batch these are, for fields that hold something for
    /// each of them, such as a context.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn rate(&self, t: &Tensor, y: &Tensor, rows: &Rows) -> Result<Tensor>;
}

/// A closure `(t [b], y [b, …]) → dy/dt` as a field.
pub struct FromFn<F>(pub F);

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor>> Field for FromFn<F> {
    fn rate(&self, t: &Tensor, y: &Tensor, _rows: &Rows) -> Result<Tensor> {
        (self.0)(t, y)
    }
}

/// A [`VectorField`] with the context of each sample.
#[derive(Debug)]
pub struct Velocity<'a> {
    /// The velocity field.
    pub field: &'a dyn VectorField,
    /// Its context, `[B, …]`.
    pub context: Option<&'a Tensor>,
}

impl Field for Velocity<'_> {
    fn rate(&self, t: &Tensor, y: &Tensor, rows: &Rows) -> Result<Tensor> {
        let context = self.context.map(|c| rows.select(0, c)).transpose()?;
        self.field.velocity(t, y, context.as_ref())
    }
}

/// A field with several owners, as the gradient modes need that solve again in the backward pass.
///
/// Clones are cheap and share the field.
#[derive(Clone)]
pub struct SharedField(Arc<Mutex<dyn Field + Send>>);

impl SharedField {
    /// Shares `field`.
    pub fn new(field: impl Field + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(field)))
    }

    /// Shares a closure `(t [b], y [b, …]) → dy/dt`.
    pub fn from_fn(f: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + 'static) -> Self {
        Self::new(FromFn(f))
    }
}

impl fmt::Debug for SharedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedField")
    }
}

impl Field for SharedField {
    fn rate(&self, t: &Tensor, y: &Tensor, rows: &Rows) -> Result<Tensor> {
        // A panic inside the field cannot leave it half-changed: `rate` takes `&self`.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rate(t, y, rows)
    }
}
