//! Elementwise maps whose parameters a network computes: what coupling and autoregressive layers
//! apply to each coordinate. A map and its conditioner do not know each other.

mod additive;
mod affine;
mod bernstein;
mod mixture;
mod monotonic;
pub(crate) mod root;
mod sos;
mod spline;

pub use additive::Additive;
pub use affine::{Affine, Scale};
pub use bernstein::Bernstein;
pub use mixture::{DeepSigmoidal, LogisticMixture};
pub use monotonic::Monotonic;
pub use sos::SumOfSquares;
pub use spline::Spline;

use maxlik_model::Mapped;
use maxlik_tensor::Result;
use maxlik_tensor::masked::Map;
use std::fmt::Debug;
use tch::Tensor;

/// An invertible map of one number with `P` parameters, applied to each coordinate.
pub trait Univariate: Debug + Send {
    /// Parameters of one coordinate, `P`.
    fn parameters(&self) -> i64;

    /// Raw parameters of one coordinate, `P` of them, at which a map with trained parameters starts.
    fn start(&self) -> Vec<f64> {
        vec![0.0; usize::try_from(self.parameters()).unwrap_or_default()]
    }

    /// Data to latent: `x` is `[B, D]`, `params` is `[B, D, P]`; `log_det` is summed over `D`.
    ///
    /// # Errors
    /// LibTorch's, for tensors that do not fit.
    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped>;

    /// Latent to data; `log_det` is that of the inverse map.
    ///
    /// # Errors
    /// As [`Univariate::forward`].
    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped>;

    /// The map for the kernel that inverts autoregressive layers, where it knows this map.
    fn fused(&self) -> Option<Map> {
        None
    }
}

impl Univariate for Box<dyn Univariate> {
    fn parameters(&self) -> i64 {
        self.as_ref().parameters()
    }

    fn start(&self) -> Vec<f64> {
        self.as_ref().start()
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        self.as_ref().forward(x, params)
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        self.as_ref().inverse(z, params)
    }

    fn fused(&self) -> Option<Map> {
        (**self).fused()
    }
}
