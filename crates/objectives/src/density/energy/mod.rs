//! Targets that are known by their energy: what Kullback–Leibler objectives fit.

mod funnel;
mod mixture;
mod phi4;

pub use funnel::Funnel;
pub use mixture::NormalMixture;
pub use phi4::Phi4;

use maxlik_model::Energy;
use maxlik_tensor::autograd::{self, Graph};
use maxlik_tensor::{Error, Result};
use tch::{Device, Kind, Tensor};

/// An energy on `[B, D]` with what is known of its density `p = e^{−E}/Z`.
pub trait Target: Energy {
    /// Number of coordinates, `D`.
    fn dims(&self) -> i64;

    /// `ln Z = ln ∫ e^{−E(x)} dx`, where it is known.
    fn log_normalizer(&self) -> Option<f64> {
        None
    }

    /// `count` exact samples `[count, D]` without a graph, where there is a sampler.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is none.
    fn sample(&self, count: i64, options: (Kind, Device)) -> Result<Tensor> {
        let _unused = (count, options);
        Err(Error::unsupported("exact samples of this energy"))
    }
}

/// An energy and its gradient at given points.
#[derive(Debug)]
pub(super) struct Force {
    /// `E(x)`, `[B]`, without a graph.
    pub(super) energy: Tensor,
    /// `∇E(x)`, without a graph.
    pub(super) gradient: Tensor,
}

impl Force {
    pub(super) fn of(target: &dyn Energy, x: &Tensor, context: Option<&Tensor>) -> Result<Self> {
        autograd::recorded(|| {
            let x = autograd::leaf(x)?;
            let energy = target.energy(&x, context)?;
            let total = energy.f_sum(None::<Kind>)?;
            let gradient = autograd::gradient(&total, None, &x, Graph::Free)?;
            Ok(Self { energy: energy.f_detach()?, gradient: gradient.f_detach()? })
        })
    }
}
