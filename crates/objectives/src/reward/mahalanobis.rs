//! A squared distance as a reward.

use super::Reward;
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// `r(ŷ, y) = −(ŷ − y)ᵀ U (ŷ − y)` on `[D]`, with a positive semi-definite `U` `[D, D]`, which may carry
/// a graph.
///
/// With an entropy bonus `λ H(π)` the best policy over all densities is Gibbs', `∝ exp(E[r]/λ)`: the
/// normal `N(E[y|x], (λ/2) U⁻¹)`. So it has the data's covariance `Σ` where `U = (λ/2) Σ⁻¹`
/// ([`Mahalanobis::optimal`]), and training by reward is then maximum likelihood. Of the multiples
/// of the identity `λ D/(2 tr Σ)` gives the data the greatest likelihood ([`Mahalanobis::isotropic`]).
#[derive(Debug)]
pub struct Mahalanobis {
    matrix: Tensor,
}

impl Mahalanobis {
    /// The reward of this matrix `U`. Only its symmetric part matters.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Kind`] for what is not `[D, D]` of floating-point numbers.
    pub fn new(matrix: Tensor) -> Result<Self> {
        check::floating("matrix", &matrix)?;
        if matrix.dim() != 2 {
            return Err(Error::shape("matrix", "[D, D]", &matrix.size()));
        }
        check::square("matrix", &matrix)?;
        Ok(Self { matrix })
    }

    /// `U = (λ/2) Σ⁻¹` for a covariance `Σ` `[D, D]` and a weight `λ` of the entropy.
    ///
    /// # Errors
    /// As [`Mahalanobis::new`], [`Error::Config`] for a `λ` that is not positive, and LibTorch's for a
    /// singular covariance.
    pub fn optimal(covariance: &Tensor, temperature: f64) -> Result<Self> {
        check_temperature(temperature)?;
        Self::new(covariance.shallow_clone())?;
        Self::new(Tensor::f_linalg_inv(covariance)? * (temperature / 2.0))
    }

    /// `U = λ D/(2 tr Σ) I`, likewise.
    ///
    /// # Errors
    /// As [`Mahalanobis::new`], and [`Error::Config`] for a `λ` that is not positive.
    pub fn isotropic(covariance: &Tensor, temperature: f64) -> Result<Self> {
        check_temperature(temperature)?;
        let dims = check::square("covariance", covariance)?;
        let identity = Tensor::f_eye(dims, (covariance.kind(), covariance.device()))?;
        let scale = covariance.f_trace()?.f_reciprocal()? * (temperature * dims as f64 / 2.0);
        Self::new(identity.f_mul(&scale)?)
    }

    /// The matrix `U`.
    pub fn matrix(&self) -> &Tensor {
        &self.matrix
    }
}

pub(super) fn check_temperature(temperature: f64) -> Result<()> {
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(());
    }
    let why = format!("expected a positive number, got {temperature}");
    Err(Error::config("temperature", why))
}

impl Reward for Mahalanobis {
    fn reward(&self, answer: &Tensor, data: &Tensor) -> Result<Tensor> {
        let dims = self.matrix.size()[0];
        check::batch_of("answer", answer, &[dims])?;
        check::shape("data", data, &answer.size())?;
        let offset = answer.f_sub(data)?;
        let product = offset.f_matmul(&self.matrix)?.f_mul(&offset)?;
        Ok(-product.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?)
    }
}
