//! Fields beside fields: sums, and residuals that contract.

use crate::time::column;
use maxlik_model::VectorField;
use maxlik_nn::{Activation, Init, Mlp, MlpConfig, Network, Scope};
use maxlik_tensor::{Error, Result, check};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// `v + r`: a field, such as a trained one, and a residual beside it. Both get the context.
///
/// A residual that is zero leaves every solution of `v` as it is, bit for bit.
#[derive(Debug)]
pub struct ResidualField<V, R> {
    /// `v`.
    pub field: V,
    /// `r`.
    pub residual: R,
}

impl<V: VectorField, R: VectorField> VectorField for ResidualField<V, R> {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let field = self.field.velocity(t, x, context)?;
        Ok(field.f_add(&self.residual.velocity(t, x, context)?)?)
    }
}

/// Shape of a [`ContractingField`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContractingFieldConfig {
    /// Units of the layer `W`.
    pub units: i64,
    /// The rate `c`, at least 0.
    pub rate: f64,
    /// Bound `L` of the steepest pull: no eigenvalue of the Jacobian is below `−L`. Euler steps of size `h`
    /// contract too, and keep the sides of what they pull together, where `L ≤ 1/h`.
    pub limit: f64,
    /// Widths of the network of time and context that shifts units and output.
    pub shift: Vec<i64>,
}

impl Default for ContractingFieldConfig {
    fn default() -> Self {
        Self { units: 64, rate: 0.1, limit: 4.0, shift: vec![32] }
    }
}

/// A field that contracts whatever its parameters:
/// `r(t, x) = a − Wᵀ tanh(W x + b) − c x` with `a` and `b` of the time and the context, whose Jacobian `−Wᵀ D W − c I` is symmetric and at most
/// `−c I`, since `D = diag(1 − tanh²)` is not negative. So two solutions approach each other at least
/// as fast as `e^{−ct}` (Lohmiller and Slotine 1998, "On contraction analysis for non-linear systems",
/// theorem 1, with the identity as metric). `W` is scaled down where its Frobenius norm exceeds
/// `√(L − c)`, so that the Jacobian is at least `−L I`: a pull that is too steep for the steps of a solver
/// would throw points apart.
///
/// It is minus the gradient of a convex potential, with one attractor at each time and context: it can hold
/// a law with one mode together, and only squeeze one with several. `v + r` contracts where the largest eigenvalue of the symmetric part of `∂v/∂x` is below `c`. The
/// parametrisation is ours; that of the work on residual fine-tuning of flow matching is not public in
/// detail.
#[derive(Debug)]
pub struct ContractingField {
    /// `[units, d]`.
    weight: Tensor,
    /// From time and context to `b` and `a`.
    shift: Mlp,
    rate: f64,
    limit: f64,
}

impl ContractingField {
    /// A field on events of `d` numbers with a context of `context` numbers (0: none). It starts as `−c x` with a small random `W`, and without `a`
    /// and `b`.
    ///
    /// # Errors
    /// [`Error::Config`] for no units, a negative rate or a limit that is not above it, and those of [`Scope::param`].
    pub fn new(
        scope: &Scope<'_>,
        d: i64,
        context: i64,
        config: &ContractingFieldConfig,
    ) -> Result<Self> {
        let &ContractingFieldConfig { units, rate, limit, ref shift } = config;
        if units < 1 {
            return Err(Error::config("units", format!("expected at least one, got {units}")));
        }
        if !(rate >= 0.0 && rate.is_finite()) {
            let why = format!("expected a number of at least 0, got {rate}");
            return Err(Error::config("rate", why));
        }
        if !(limit > rate && limit.is_finite()) {
            let why = format!("expected a number above the rate {rate}, got {limit}");
            return Err(Error::config("limit", why));
        }
        let bound = Init::Uniform(0.1 / (d.max(1) as f64).sqrt());
        let time = MlpConfig { hidden: shift.clone(), activation: Activation::Tanh, dropout: 0.0 };
        let zero = Init::Constant(0.0);
        Ok(Self {
            weight: scope.param("weight", &[units, d], bound)?,
            shift: Mlp::with_output(&scope.sub("shift"), 1, context, units + d, &time, zero)?,
            rate,
            limit,
        })
    }

    /// The rate `c`.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// `W` as it is used.
    fn scaled(&self) -> Result<Tensor> {
        let most = (self.limit - self.rate).sqrt();
        let norm = self.weight.f_square()?.f_sum(None::<Kind>)?.f_sqrt()?;
        Ok(self.weight.f_mul(&norm.f_clamp_min(most)?.f_reciprocal()?.f_mul_scalar(most)?)?)
    }
}

impl VectorField for ContractingField {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let [units, d] = [self.weight.size()[0], self.weight.size()[1]];
        check::shape("x", x, &[t.size().first().copied().unwrap_or_default(), d])?;
        let shift = self.shift.forward(&column(t, x)?, context)?;
        let weight = self.scaled()?;
        let inner = x.f_linear(&weight, None::<&Tensor>)?;
        let inner = inner.f_add(&shift.f_narrow(1, 0, units)?)?.f_tanh()?;
        let pulled = inner.f_matmul(&weight)?.f_add(&x.f_mul_scalar(self.rate)?)?;
        Ok(shift.f_narrow(1, units, d)?.f_sub(&pulled)?)
    }
}
