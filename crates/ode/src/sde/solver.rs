//! The solver of stochastic differential equations.

use super::{Brownian, Scheme, Sde};
use crate::lane::Times;
use maxlik_tensor::{Error, Result, check};
use tch::Tensor;

/// A scheme with a number of equal steps between neighbouring times.
///
/// ```
/// use maxlik_ode::sde::{BrownianTree, Convention, NoiseShape, Scheme, Sde, SdeSolver};
/// use maxlik_tensor::Result;
/// use tch::{Tensor, kind::DOUBLE_CPU};
///
/// /// `dy = −y dt + ½ dW`.
/// #[derive(Debug)]
/// struct Decay;
///
/// impl Sde for Decay {
///     fn noise(&self) -> NoiseShape {
///         NoiseShape::Additive
///     }
///     fn convention(&self) -> Convention {
///         Convention::Ito
///     }
///     fn drift(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
///         Ok(y.f_neg()?)
///     }
///     fn diffusion(&self, _t: &Tensor, y: &Tensor) -> Result<Tensor> {
///         Ok(y.f_full_like(0.5)?)
///     }
/// }
///
/// let motion = BrownianTree::new(7, &[4, 1], DOUBLE_CPU, (0.0, 1.0))?;
/// let y0 = Tensor::ones([4, 1], DOUBLE_CPU);
/// let times = Tensor::from_slice(&[0.0_f64, 0.5, 1.0]);
/// let solver = SdeSolver::new(Scheme::Sra1, 8)?;
/// let states = solver.solve(&Decay, &y0, &times, &motion)?;
/// assert_eq!(states.size(), [3, 4, 1]);
/// // The same motion, whatever else was asked of it.
/// let again = solver.solve(&Decay, &y0, &times, &motion)?;
/// assert_eq!(states, again);
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SdeSolver {
    scheme: Scheme,
    steps: usize,
}

impl SdeSolver {
    /// A scheme with so many steps between neighbouring times.
    ///
    /// # Errors
    /// [`Error::Config`] for no steps.
    pub fn new(scheme: Scheme, steps: usize) -> Result<Self> {
        if steps == 0 {
            return Err(Error::config("steps", "expected at least one"));
        }
        Ok(Self { scheme, steps })
    }

    /// Solves from `y0` `[B, …]` at the first of `times` `[T]`, forward or backward; the motions are
    /// of [`super::motion_shape`]. Returns the states `[T, B, …]`. Gradients flow through all
    /// steps.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Shape`] for arguments that do not fit, and those of the
    /// equation and the motion.
    pub fn solve(
        &self,
        sde: &dyn Sde,
        y0: &Tensor,
        times: &Tensor,
        motion: &dyn Brownian,
    ) -> Result<Tensor> {
        self.scheme.check(sde)?;
        check::floating("y0", y0)?;
        let grid = Grid::new(y0, times, self.steps)?;
        let mut states = vec![y0.shallow_clone()];
        let mut y = y0.shallow_clone();
        for part in 0..grid.parts() {
            for step in 0..self.steps {
                let (s, t) = grid.step(part, step);
                y = self.scheme.step(sde, s, t - s, &y, &motion.increment(s, t)?)?;
            }
            states.push(y.shallow_clone());
        }
        Ok(Tensor::f_stack(&states, 0)?)
    }
}

/// The times of all steps.
pub(super) struct Grid {
    times: Vec<f64>,
    steps: usize,
}

impl Grid {
    pub(super) fn new(y0: &Tensor, times: &Tensor, steps: usize) -> Result<Self> {
        let batch = y0.size().first().copied();
        let batch = batch.ok_or_else(|| Error::shape("y0", "[B, …]", &[]))?;
        let parsed = Times::read(times, batch)?;
        if !parsed.is_shared() {
            return Err(Error::shape("times", "[T]", &times.size()));
        }
        Ok(Self { times: parsed.of(0).to_vec(), steps })
    }

    pub(super) fn parts(&self) -> usize {
        self.times.len() - 1
    }

    /// Start and end of a step.
    pub(super) fn step(&self, part: usize, step: usize) -> (f64, f64) {
        let (from, to) = (self.times[part], self.times[part + 1]);
        let at = |i: usize| {
            if i == self.steps { to } else { from + (to - from) * (i as f64 / self.steps as f64) }
        };
        (at(step), at(step + 1))
    }
}
