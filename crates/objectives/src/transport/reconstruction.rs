//! Fine-tuning a flow by the likelihood of its reconstructions.

use super::{batch_mean, rows_of, square_norm};
use maxlik_model::{Batch, Loss, Objective, VectorField};
use maxlik_ode::{Adaptive, Solver, Velocity, tableau};
use maxlik_tensor::{Error, Result, check};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// `E‖x₁ − φ_N(x₀; θ)‖²/(2s²)`, the negative log-likelihood of the data under `N(φ_N(x₀), s² I)` up to a
/// constant, where `φ_N` is the discretised sampler itself: what flow matching never sees.
///
/// Which `x₀` goes with `x₁` is essential: with an independent one the best `φ` is the constant mean of
/// the data. Here it is where the frozen teacher, the flow before fine-tuning, encodes `x₁` by a fine
/// solver from time 1 to time 0. The published account of the method does not say so in detail; this
/// pairing is ours.
#[derive(Debug)]
pub struct Reconstruction {
    teacher: Box<dyn VectorField>,
    fine: Solver,
    coarse: Solver,
    std: f64,
}

/// Shape of a [`Reconstruction`], which [`ReconstructionFitConfig::with`] a teacher is one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconstructionFitConfig {
    /// Euler steps of the sampler that is fitted, from time 0 to 1.
    pub steps: usize,
    /// Standard deviation `s` around the reconstruction.
    #[serde(default = "one")]
    pub std: f64,
    /// Relative and absolute tolerance of the teacher's encoding, by Dopri5.
    #[serde(default = "fine")]
    pub tolerance: f64,
}

fn one() -> f64 {
    1.0
}

fn fine() -> f64 {
    1e-5
}

impl ReconstructionFitConfig {
    /// With the flow before fine-tuning.
    ///
    /// # Errors
    /// [`Error::Config`] for no steps, a deviation or a tolerance that is not positive.
    pub fn with(self, teacher: impl VectorField + 'static) -> Result<Reconstruction> {
        if self.steps == 0 {
            return Err(Error::config("steps", "expected at least one, got 0"));
        }
        let tolerance = self.tolerance;
        if !(tolerance > 0.0 && tolerance < 1.0) {
            let why = format!("expected a number in (0, 1), got {tolerance}");
            return Err(Error::config("tolerance", why));
        }
        let fine = Solver::adaptive(tableau::DOPRI5, Adaptive::new(tolerance, tolerance))?;
        Reconstruction::new(teacher, fine, Solver::fixed(tableau::EULER, self.steps)?, self.std)
    }
}

impl Reconstruction {
    /// A `teacher` that encodes by the solver `fine`, for models that decode by `coarse`, the sampler
    /// that is to be used; `std` is `s`.
    ///
    /// # Errors
    /// [`Error::Config`] for an `s` that is not positive.
    pub fn new(
        teacher: impl VectorField + 'static,
        fine: Solver,
        coarse: Solver,
        std: f64,
    ) -> Result<Self> {
        if std > 0.0 && std.is_finite() {
            return Ok(Self { teacher: Box::new(teacher), fine, coarse, std });
        }
        Err(Error::config("std", format!("expected a positive number, got {std}")))
    }

    /// Where the teacher encodes the data, `[B, …]`, without a graph.
    ///
    /// # Errors
    /// Those of the teacher and the solver.
    pub fn encode(&self, batch: &Batch) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let context = batch.context.as_ref();
        run(self.teacher.as_ref(), &self.fine, &batch.data, context, [1.0, 0.0])
    }

    /// Where the model decodes `x₀` `[B, …]` by the coarse solver; gradients flow through its steps.
    ///
    /// # Errors
    /// Those of the model and the solver.
    pub fn decode(
        &self,
        model: &dyn VectorField,
        latent: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Tensor> {
        run(model, &self.coarse, latent, context, [0.0, 1.0])
    }

    /// The loss of each row in nats, without the normal's constant, `[B]`, for given `x₀`.
    ///
    /// # Errors
    /// [`Error::Shape`] for latents of another shape, and those of [`Reconstruction::decode`].
    pub fn loss_at(
        &self,
        model: &dyn VectorField,
        batch: &Batch,
        latent: &Tensor,
    ) -> Result<Tensor> {
        rows_of(&batch.data)?;
        check::shape("latent", latent, &batch.data.size())?;
        let decoded = self.decode(model, latent, batch.context.as_ref())?;
        let scale = 0.5 / (self.std * self.std);
        Ok(square_norm(&decoded.f_sub(&batch.data)?)?.f_mul_scalar(scale)?)
    }
}

fn run(
    field: &dyn VectorField,
    solver: &Solver,
    start: &Tensor,
    context: Option<&Tensor>,
    times: [f64; 2],
) -> Result<Tensor> {
    let solution =
        solver.solve(&Velocity { field, context }, start, &Tensor::f_from_slice(&times)?)?;
    solution.ensure_success()?;
    Ok(solution.final_states())
}

impl Objective<dyn VectorField> for Reconstruction {
    fn loss(&self, model: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        let each = self.loss_at(model, batch, &self.encode(batch)?)?;
        Ok(Loss { value: batch_mean(&each, batch.weight.as_ref())?, metrics: Vec::new() })
    }
}
