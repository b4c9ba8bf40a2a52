//! A velocity field by a perceptron, for systems on the plane.

use maxlik_model::VectorField;
use maxlik_nn::{Mlp, MlpConfig, Network, Scope};
use maxlik_tensor::Result;
use tch::Tensor;

/// A perceptron on `[x, t]`.
#[derive(Debug)]
pub(super) struct TimeMlp(Mlp);

impl TimeMlp {
    /// A field on events `[dims]`.
    ///
    /// # Errors
    /// Those of [`Mlp::new`].
    pub(super) fn new(scope: &Scope<'_>, dims: i64, config: &MlpConfig) -> Result<Self> {
        Ok(Self(Mlp::new(scope, dims + 1, 0, dims, config)?))
    }
}

impl VectorField for TimeMlp {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.0.forward(&Tensor::f_cat(&[x, &t.f_view([-1, 1])?], 1)?, context)
    }
}
