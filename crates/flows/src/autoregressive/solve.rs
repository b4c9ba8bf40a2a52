//! The inverse of an autoregressive layer.

use super::Autoregressive;
use crate::univariate::Univariate;
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result, host, masked};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// How the inverse of an autoregressive layer is found; all ways agree up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Solve {
    /// One coordinate after another, computing at each only the units of the network that it
    /// completes: all together the work of one pass. Where no gradient is asked for, on the CPU and
    /// for plain masked networks, one fused kernel does it.
    Steps {},
    /// `D` passes of the whole network, each of which gives one more coordinate: the reference.
    Passes {},
    /// The fixed-point iteration of all coordinates at once (Song et al. 2021, "Accelerating
    /// feedforward computation via parallel nonlinear equation solving", arXiv:2002.03629). It is
    /// exact after `D` passes and stops when no coordinate moves by more than `tolerance`: few
    /// passes where dependences are weak. The gradient is that of the passes made.
    Jacobi {
        /// Largest move of a coordinate in the last pass.
        tolerance: f64,
    },
}

impl Default for Solve {
    fn default() -> Self {
        Self::Steps {}
    }
}

impl Solve {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Jacobi { tolerance } if tolerance.is_nan() || tolerance < 0.0 => {
                let why = format!("expected a number of at least zero, got {tolerance}");
                Err(Error::config("tolerance", why))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn unmap<U: Univariate>(
    layer: &Autoregressive<U>,
    z: &Tensor,
    context: Option<&Tensor>,
) -> Result<Mapped> {
    match layer.solve {
        _ if layer.order.is_empty() => Mapped::volume_preserving(z.shallow_clone()),
        Solve::Steps {} => steps(layer, z, context),
        Solve::Passes {} => passes(layer, z, context),
        Solve::Jacobi { tolerance } => jacobi(layer, z, context, tolerance),
    }
}

fn steps<U: Univariate>(
    layer: &Autoregressive<U>,
    z: &Tensor,
    context: Option<&Tensor>,
) -> Result<Mapped> {
    if masked::usable(z)
        && let (Some(map), Some(net)) = (layer.univariate.fused(), layer.network.fused()?)
    {
        let (order, ranks) = (Tensor::f_from_slice(&layer.order)?, &layer.ranks);
        let solved = net.solve(&map, &z.f_index_select(1, &order)?, context)?;
        let value = solved.value.f_index_select(1, ranks)?;
        return Ok(Mapped { value, log_det: solved.log_det });
    }
    let mut steps = layer.network.begin(z.size()[0], context)?;
    let mut columns = Vec::with_capacity(layer.order.len());
    let mut log_det: Option<Tensor> = None;
    let mut previous: Option<Tensor> = None;
    for &coordinate in &layer.order {
        let params = steps.next(previous.as_ref())?.f_unsqueeze(1)?;
        let mapped = layer.univariate.inverse(&z.f_narrow(1, coordinate, 1)?, &params)?;
        log_det = Some(match log_det {
            Some(sum) => sum.f_add(&mapped.log_det)?,
            None => mapped.log_det,
        });
        previous = Some(mapped.value.f_squeeze_dim(1)?);
        columns.push(mapped.value);
    }
    let value = Tensor::f_cat(&columns, 1)?.f_index_select(1, &layer.ranks.f_to(z.device())?)?;
    let log_det = log_det.map_or_else(
        || Ok(Mapped::volume_preserving(z.shallow_clone())?.log_det),
        Ok::<_, Error>,
    )?;
    Ok(Mapped { value, log_det })
}

fn passes<U: Univariate>(
    layer: &Autoregressive<U>,
    z: &Tensor,
    context: Option<&Tensor>,
) -> Result<Mapped> {
    let mut mapped = Mapped::volume_preserving(z.f_zeros_like()?)?;
    for _ in &layer.order {
        let params = layer.parameters(&mapped.value, context)?;
        mapped = layer.univariate.inverse(z, &params)?;
    }
    Ok(mapped)
}

fn jacobi<U: Univariate>(
    layer: &Autoregressive<U>,
    z: &Tensor,
    context: Option<&Tensor>,
    tolerance: f64,
) -> Result<Mapped> {
    let mut mapped = Mapped::volume_preserving(z.shallow_clone())?;
    for _ in &layer.order {
        let params = layer.parameters(&mapped.value, context)?;
        let next = layer.univariate.inverse(z, &params)?;
        let moved = if z.numel() == 0 {
            0.0
        } else {
            host::scalar(&(&next.value - &mapped.value).f_abs()?.f_max()?)?
        };
        mapped = next;
        if moved <= tolerance {
            break;
        }
    }
    Ok(mapped)
}
