//! Score matching by finite differences of an energy.

use super::PointFn;
use maxlik_model::{Batch, Energy, Loss, Objective};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `(D/ε²) E[(E(x+v) − E(x−v))²/8 + 2E(x) − E(x+v) − E(x−v)]` with `v` uniform on the sphere of radius
/// `ε` (Pang et al. 2020, "Efficient learning of generative models via finite-difference score
/// matching", arXiv:2007.03317, eq. 13).
///
/// It tends to the loss of [`super::ExplicitScoreMatching`] as `O(ε²)`, and needs values of the energy
/// only: one forward pass on three times the batch, and one backward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FiniteDifferenceScoreMatching {
    radius: f64,
}

impl FiniteDifferenceScoreMatching {
    /// Differences over the radius `ε`.
    ///
    /// # Errors
    /// [`Error::Config`] for a radius that is not positive.
    pub fn new(radius: f64) -> Result<Self> {
        if radius > 0.0 && radius.is_finite() {
            return Ok(Self { radius });
        }
        Err(Error::config("radius", format!("expected a positive number, got {radius}")))
    }

    /// The loss of each row, `[B]`, for directions `u` of the shape of `x` `[B, D]`, whose length does
    /// not matter.
    ///
    /// # Errors
    /// [`Error::Shape`] for data that are not `[B, D]`, and those of the model.
    pub fn each(
        &self,
        model: &dyn Energy,
        x: &Tensor,
        context: Option<&Tensor>,
        u: &Tensor,
    ) -> Result<Tensor> {
        self.each_of(&|x, context| model.energy(x, context), x, context, u)
    }

    pub(super) fn each_of(
        &self,
        energy: &PointFn<'_>,
        x: &Tensor,
        context: Option<&Tensor>,
        u: &Tensor,
    ) -> Result<Tensor> {
        let &[_, dims] = x.size().as_slice() else {
            return Err(Error::shape("data", "[B, D]", &x.size()));
        };
        let length = u.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), true)?;
        let v = u / length * self.radius;
        let points = Tensor::f_cat(&[x.shallow_clone(), x + &v, x - &v], 0)?;
        let context = context.map(|c| Tensor::f_cat(&[c, c, c], 0)).transpose()?;
        let energies = energy(&points, context.as_ref())?.f_chunk(3, 0)?;
        let [here, up, down] = energies.as_slice() else {
            return Err(Error::shape("energy", "[3 B]", &[energies.len() as i64]));
        };
        let square = (up - down).f_square()? / 8.0;
        let scale = dims as f64 / (self.radius * self.radius);
        Ok((square + here * 2.0 - up - down) * scale)
    }
}

impl Objective<dyn Energy> for FiniteDifferenceScoreMatching {
    fn loss(&self, model: &(dyn Energy + 'static), batch: &Batch) -> Result<Loss> {
        let u = batch.data.f_randn_like()?;
        let each = self.each(model, &batch.data, batch.context.as_ref(), &u)?;
        Ok(Loss { value: each.f_mean(None::<Kind>)?, metrics: Vec::new() })
    }
}
