//! Densities on held-out data.

use maxlik_model::{Batch, Density};
use maxlik_tensor::{Error, Result, host};
use std::fmt;

/// A mean with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// `s/√n`, with the unbiased standard deviation `s`; 0 for a single value.
    pub standard_error: f64,
    /// Number of values.
    pub count: usize,
}

impl Estimate {
    /// The mean of `values` and its standard error.
    ///
    /// # Errors
    /// [`Error::Shape`] for no values, [`Error::NonFinite`] naming the first value that is not finite.
    pub fn of(what: &str, values: &[f64]) -> Result<Self> {
        if values.is_empty() {
            return Err(Error::Shape {
                what: what.to_owned(),
                expected: "at least one value".to_owned(),
                got: "none".to_owned(),
            });
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { what: format!("{what} of sample {at}") });
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let variance = if values.len() > 1 { squares / (n - 1.0) } else { 0.0 };
        Ok(Self { mean, standard_error: (variance / n).sqrt(), count: values.len() })
    }

    /// The estimate of `a + b x` for the estimate of `x`.
    #[must_use]
    pub fn affine(self, a: f64, b: f64) -> Self {
        let standard_error = b.abs() * self.standard_error;
        Self { mean: a + b * self.mean, standard_error, ..self }
    }

    /// Bits per dimension from nats per sample.
    ///
    /// With data `y = s x` scaled by `s` from the integers (dequantised by noise of the unit interval),
    /// a density of `y` and `D` dimensions, it is `(nats + offset)/(D ln 2)` with the offset
    /// `−D ln s`, in nats, that brings the density of `y` back to that of `x`.
    #[must_use]
    pub fn bits_per_dim(self, dimensions: usize, offset: f64) -> Self {
        let unit = dimensions as f64 * std::f64::consts::LN_2;
        self.affine(offset / unit, 1.0 / unit)
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(4);
        write!(f, "{:.decimals$} ± {:.decimals$}", self.mean, self.standard_error)
    }
}

/// `−ln p` of each sample of the batches, in nats, without gradients.
///
/// # Errors
/// Those of the batches and the density.
pub fn nll_of_each(
    density: &dyn Density,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Vec<f64>> {
    let _no_grad = tch::no_grad_guard();
    let mut all = Vec::new();
    for batch in batches {
        let batch = batch?;
        let log_prob = maxlik_tensor::guard("evaluation", || {
            density.log_prob(&batch.data, batch.context.as_ref())
        })?;
        all.extend(host::to_vec(&log_prob)?.into_iter().map(|log_prob| -log_prob));
    }
    Ok(all)
}

/// Mean and standard error of `−ln p` over the samples of the batches, in nats.
///
/// # Errors
/// As [`nll_of_each`] and [`Estimate::of`].
pub fn nll(
    density: &dyn Density,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Estimate> {
    Estimate::of("NLL", &nll_of_each(density, batches)?)
}
