//! Paths of a flow, and what they cost.

use super::square_norm;
use maxlik_model::VectorField;
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Paths of a velocity field in equal Euler steps from time 0 to time 1.
#[derive(Debug)]
pub struct Trajectory {
    /// The states at all steps, `[steps + 1, B, …]`.
    pub states: Tensor,
    /// `∫ ‖v(t, x_t)‖² dt` along each path by the rule of the same steps, `[B]`.
    pub energy: Tensor,
}

/// Follows the field from `start` `[B, …]` in `steps` Euler steps, without a graph.
///
/// # Errors
/// [`Error::Config`] for no steps, and those of the field.
pub fn trajectory(
    field: &dyn VectorField,
    start: &Tensor,
    context: Option<&Tensor>,
    steps: usize,
) -> Result<Trajectory> {
    if steps == 0 {
        return Err(Error::config("steps", "expected at least one"));
    }
    let _no_grad = tch::no_grad_guard();
    let rows = super::rows_of(start)?;
    let (options, width) = ((start.kind(), start.device()), 1.0 / steps as f64);
    let mut energy = Tensor::f_zeros([rows], options)?;
    let mut states = vec![start.shallow_clone()];
    let mut x = start.shallow_clone();
    for step in 0..steps {
        let t = Tensor::f_full([rows], step as f64 * width, options)?;
        let velocity = field.velocity(&t, &x, context)?;
        energy = energy.f_add(&square_norm(&velocity)?.f_mul_scalar(width)?)?;
        x = x.f_add(&velocity.f_mul_scalar(width)?)?;
        states.push(x.shallow_clone());
    }
    Ok(Trajectory { states: Tensor::f_stack(&states, 0)?, energy })
}

impl Trajectory {
    /// Where the paths end, `[B, …]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn end(&self) -> Result<Tensor> {
        Ok(self.states.f_select(0, -1)?)
    }

    /// `∫ ‖(x₁ − x₀) − v‖² dt` of each path, `[B]`: zero if and only if it is straight and of even
    /// speed (Liu et al. 2023, arXiv:2209.03003, eq. 4). As `∫ v dt = x₁ − x₀` in the same steps, it
    /// is the energy less `‖x₁ − x₀‖²`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn straightness(&self) -> Result<Tensor> {
        let moved = self.end()?.f_sub(&self.states.f_select(0, 0)?)?;
        Ok(self.energy.f_sub(&square_norm(&moved)?)?)
    }

    /// The mean energy of all paths.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn mean_energy(&self) -> Result<f64> {
        maxlik_tensor::host::scalar(&self.energy.f_mean(Kind::Double)?)
    }
}

/// `|PE − W₂²|/W₂²` of a mean path energy and the squared 2-Wasserstein distance between source and
/// data: zero for the flow of dynamic optimal transport (Tong et al. 2024, arXiv:2302.00482, sec. 5.1).
#[must_use]
pub fn normalised_path_energy(energy: f64, w2_squared: f64) -> f64 {
    (energy - w2_squared).abs() / w2_squared
}
