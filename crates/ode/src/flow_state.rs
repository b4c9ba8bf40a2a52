//! The state of a flow while it is solved: the point, the integral of the divergence, and what else
//! is integrated, as one row of numbers for each sample.

use crate::time::flat_rows;
use crate::trace::{Drift, event_sum};
use crate::{Field, Rows};
use maxlik_tensor::Result;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tch::Tensor;

/// A drift with several owners.
#[derive(Clone)]
pub(crate) struct SharedDrift(Arc<Mutex<dyn Drift>>);

impl SharedDrift {
    pub(crate) fn new(drift: impl Drift + 'static) -> Self {
        Self(Arc::new(Mutex::new(drift)))
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&dyn Drift) -> T) -> T {
        // A panic inside the field cannot leave it half-changed: its methods take `&self`.
        f(&*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for SharedDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|drift| drift.fmt(f))
    }
}

/// What is integrated beside the divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extras {
    pub(crate) kinetic: bool,
    pub(crate) frobenius: bool,
}

/// `d(x, ℓ, …)/dt` on rows `[b, D + 1 + …]`, or `dx/dt` on rows `[b, D]`.
#[derive(Debug)]
pub(crate) struct FlowField {
    pub(crate) drift: SharedDrift,
    pub(crate) event: Vec<i64>,
    pub(crate) context: Option<Tensor>,
    pub(crate) probe: Option<Tensor>,
    pub(crate) extras: Extras,
    pub(crate) traced: bool,
}

/// A state by its parts.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) x: Tensor,
    pub(crate) divergence: Tensor,
    pub(crate) kinetic: Option<Tensor>,
    pub(crate) frobenius: Option<Tensor>,
}

impl FlowField {
    pub(crate) fn numbers(&self) -> i64 {
        self.event.iter().product()
    }

    pub(crate) fn shape(&self) -> Vec<i64> {
        std::iter::once(-1).chain(self.event.iter().copied()).collect()
    }

    pub(crate) fn share(&self) -> Self {
        Self {
            drift: self.drift.clone(),
            event: self.event.clone(),
            context: self.context.as_ref().map(Tensor::shallow_clone),
            probe: self.probe.as_ref().map(Tensor::shallow_clone),
            extras: self.extras,
            traced: self.traced,
        }
    }

    /// The state at the start of a solve.
    pub(crate) fn pack(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.f_reshape([-1, self.numbers()])?;
        if !self.traced {
            return Ok(x);
        }
        let more = 1 + i64::from(self.extras.kinetic) + i64::from(self.extras.frobenius);
        let zeros = Tensor::f_zeros([x.size()[0], more], (x.kind(), x.device()))?;
        Ok(Tensor::f_cat(&[x, zeros], 1)?)
    }

    pub(crate) fn unpack(&self, state: &Tensor) -> Result<Unpacked> {
        let d = self.numbers();
        let x = state.f_narrow(1, 0, d)?.f_reshape(self.shape().as_slice())?;
        if !self.traced {
            let divergence = Tensor::f_zeros([x.size()[0]], (x.kind(), x.device()))?;
            return Ok(Unpacked { x, divergence, kinetic: None, frobenius: None });
        }
        let mut next = d;
        let mut column = || {
            next += 1;
            state.f_select(1, next - 1)
        };
        let divergence = column()?;
        let kinetic = self.extras.kinetic.then(&mut column).transpose()?;
        let frobenius = self.extras.frobenius.then(&mut column).transpose()?;
        Ok(Unpacked { x, divergence, kinetic, frobenius })
    }
}

impl Field for FlowField {
    fn rate(&self, t: &Tensor, y: &Tensor, rows: &Rows) -> Result<Tensor> {
        let x = y.f_narrow(1, 0, self.numbers())?.f_reshape(self.shape().as_slice())?;
        let context = self.context.as_ref().map(|c| rows.select(0, c)).transpose()?;
        let context = context.as_ref();
        if !self.traced {
            let velocity = self.drift.with(|drift| drift.velocity(t, &x, context))?;
            return flat_rows(&velocity);
        }
        let frobenius = self.extras.frobenius;
        let traced = match &self.probe {
            None => self.drift.with(|drift| drift.exact(t, &x, context, frobenius))?,
            Some(probe) => {
                let probe = rows.select(1, probe)?;
                self.drift.with(|drift| drift.probed(t, &x, context, &probe, frobenius))?
            }
        };
        let flat = flat_rows(&traced.velocity)?;
        let mut parts = vec![flat, traced.divergence.f_unsqueeze(1)?];
        if self.extras.kinetic {
            parts.push(event_sum(&traced.velocity.f_square()?)?.f_unsqueeze(1)?);
        }
        if let Some(frobenius) = traced.frobenius.filter(|_| frobenius) {
            parts.push(frobenius.f_unsqueeze(1)?);
        }
        Ok(Tensor::f_cat(&parts, 1)?)
    }
}
