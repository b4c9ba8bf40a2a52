//! How large the steps are.

use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// Who decides the step sizes.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// The caller.
    Fixed(Grid),
    /// The error estimate.
    Adaptive(Adaptive),
}

/// Fixed steps. They are not looked at while the solver runs, so that nothing waits for the device.
#[derive(Debug, Clone, PartialEq)]
pub enum Grid {
    /// Steps of this (positive) size from the first time on, the last one being shorter.
    Size(f64),
    /// So many equal steps from the first to the last time.
    Count(usize),
}

/// Steps that keep the estimated local error within a tolerance.
///
/// A step is accepted where the norm `√(mean((error / (atol + rtol · max(|y₀|, |y₁|)))²))` is at
/// most one (Hairer, Nørsett and Wanner, "Solving Ordinary Differential Equations I", eqs. II.4.10
/// and II.4.11).
#[derive(Debug, Clone, PartialEq)]
pub struct Adaptive {
    /// Relative tolerance.
    pub rtol: Bound,
    /// Absolute tolerance.
    pub atol: Bound,
    /// Whose error is looked at.
    pub batching: Batching,
    /// How the next step size follows from the errors.
    pub gains: Gains,
    /// Part of the step that the error would allow.
    pub safety: f64,
    /// Least and greatest ratio of successive steps.
    pub factors: (f64, f64),
    /// Size of the first step; estimated where it is `None`.
    pub first_step: Option<f64>,
    /// Steps that would have to be smaller end the solution with [`crate::Status::StepUnderflow`].
    pub min_step: f64,
    /// Greatest step.
    pub max_step: f64,
    /// Accepted and rejected steps after which a sample is given up.
    pub max_steps: u64,
    /// Times that steps end at exactly.
    pub step_t: Vec<f64>,
    /// Times where the field jumps: steps end there, and the next one starts with a new slope from
    /// the other side.
    pub jump_t: Vec<f64>,
    /// Looks at the first so many numbers of each event only: a seminorm, as the continuous adjoint
    /// may use (Kidger, Chen and Lyons 2021, "Hey, that's not an ODE", arXiv:2009.09457).
    pub seminorm: Option<i64>,
}

/// A tolerance.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// The same for all numbers of an event.
    All(f64),
    /// One for each number of the flattened event.
    Each(Vec<f64>),
}

impl From<f64> for Bound {
    fn from(value: f64) -> Self {
        Self::All(value)
    }
}

/// Whose error a step size answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Batching {
    /// The mean over the batch: all samples take the same steps.
    Joint,
    /// Each sample its own: a sample that is done leaves the batch.
    #[default]
    PerSample,
}

/// Gains of the step-size controller: with errors `r` and the estimate proportional to `h^q`, the
/// step is multiplied by `safety · rₙ^(−β₁/q) · rₙ₋₁^(−β₂/q) · rₙ₋₂^(−β₃/q)`, where
/// `β₁ = k_P + k_I + k_D`, `β₂ = −(k_P + 2 k_D)` and `β₃ = k_D` (Söderlind 2003, "Digital filters in
/// adaptive time-stepping", sec. 3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gains {
    /// `k_P`.
    pub proportional: f64,
    /// `k_I`.
    pub integral: f64,
    /// `k_D`.
    pub derivative: f64,
}

impl Gains {
    /// The elementary controller.
    pub const I: Self = Self { proportional: 0.0, integral: 1.0, derivative: 0.0 };
    /// Gustafsson's PI controller with the exponents 0.7 and 0.4 (Hairer and Wanner, "Solving
    /// Ordinary Differential Equations II", sec. IV.2).
    pub const PI: Self = Self { proportional: 0.4, integral: 0.3, derivative: 0.0 };
    /// The filter H312PID, `β = (1/18, 1/9, 1/18)` (Söderlind 2003, table III).
    pub const PID: Self =
        Self { proportional: -2.0 / 9.0, integral: 2.0 / 9.0, derivative: 1.0 / 18.0 };
}

impl Default for Adaptive {
    /// `rtol = 10⁻⁶`, `atol = 10⁻⁸`, a step size for each sample, and the elementary controller.
    fn default() -> Self {
        Self {
            rtol: Bound::All(1e-6),
            atol: Bound::All(1e-8),
            batching: Batching::default(),
            gains: Gains::I,
            safety: 0.9,
            factors: (0.2, 10.0),
            first_step: None,
            min_step: 0.0,
            max_step: f64::INFINITY,
            max_steps: 1 << 14,
            step_t: Vec::new(),
            jump_t: Vec::new(),
            seminorm: None,
        }
    }
}

impl Adaptive {
    /// These tolerances, all else as by default.
    #[must_use]
    pub fn new(rtol: f64, atol: f64) -> Self {
        Self { rtol: Bound::All(rtol), atol: Bound::All(atol), ..Self::default() }
    }

    /// The same with one step size for the whole batch.
    #[must_use]
    pub fn joint(self) -> Self {
        Self { batching: Batching::Joint, ..self }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] naming the one that cannot be used.
    pub fn check(&self) -> Result<()> {
        let bound = |name: &str, bound: &Bound| {
            let values = match bound {
                Bound::All(value) => std::slice::from_ref(value),
                Bound::Each(values) => values.as_slice(),
            };
            require(name, "numbers ≥ 0", values, |v| v >= 0.0 && !v.is_nan())
        };
        bound("rtol", &self.rtol)?;
        bound("atol", &self.atol)?;
        let (least, greatest) = self.factors;
        require("safety", "a number in (0, 1]", &[self.safety], |v| v > 0.0 && v <= 1.0)?;
        require("factors", "0 < least < 1", &[least], |v| v > 0.0 && v < 1.0)?;
        require("factors", "1 < greatest", &[greatest], |v| v > 1.0 && v.is_finite())?;
        let first = self.first_step.unwrap_or(1.0);
        require("first_step", "a positive number", &[first], |v| v > 0.0 && v.is_finite())?;
        require("min_step", "a number ≥ 0", &[self.min_step], |v| v >= 0.0 && v.is_finite())?;
        require("max_step", "more than min_step", &[self.max_step], |v| v > self.min_step)?;
        require("step_t", "finite times", &self.step_t, f64::is_finite)?;
        require("jump_t", "finite times", &self.jump_t, f64::is_finite)
    }

    /// The norm of the error: `[b]`, or `[1]` where the batch has one step size.
    pub(crate) fn norm(&self, x: &Tensor, scale: &Tensor) -> Result<Tensor> {
        let mut ratio = crate::time::flat_rows(&x.f_div(scale)?)?;
        if let Some(count) = self.seminorm {
            ratio = ratio.f_narrow(1, 0, count.min(ratio.size()[1]))?;
        }
        let dims: &[i64] = match self.batching {
            Batching::Joint => &[0, 1],
            Batching::PerSample => &[1],
        };
        let mean = ratio.f_square()?.f_mean_dim(dims, false, None)?;
        Ok(mean.f_sqrt()?.f_reshape([-1])?)
    }

    /// `atol + rtol · magnitude`; a seminorm's other numbers are scaled by one.
    pub(crate) fn scale(&self, magnitude: &Tensor) -> Result<Tensor> {
        let scaled = match &self.rtol {
            Bound::All(value) => magnitude.f_mul_scalar(*value)?,
            Bound::Each(values) => magnitude.f_mul(&spread("rtol", values, magnitude)?)?,
        };
        Ok(match &self.atol {
            Bound::All(value) => scaled.f_add_scalar(*value)?,
            Bound::Each(values) => scaled.f_add(&spread("atol", values, magnitude)?)?,
        })
    }

    /// The ratio of the next step to this one, from the errors of this and the last two steps.
    pub(crate) fn factor(&self, errors: [f64; 3], power: u32, accepted: bool) -> f64 {
        let (least, greatest) = self.factors;
        if !errors[0].is_finite() {
            return least;
        }
        let q = f64::from(power.max(1));
        // An error of zero would ask for an infinite step.
        let [now, last, before] = errors.map(|r| r.max(1e-10));
        if !accepted {
            return (self.safety * now.powf(-1.0 / q)).clamp(least, self.safety);
        }
        let Gains { proportional, integral, derivative } = self.gains;
        let factor = self.safety
            * now.powf(-(proportional + integral + derivative) / q)
            * last.powf((proportional + 2.0 * derivative) / q)
            * before.powf(-derivative / q);
        factor.clamp(least, greatest)
    }
}

impl Control {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] naming the one that cannot be used.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Fixed(Grid::Size(h)) => {
                require("step", "a positive number", &[*h], |v| v > 0.0 && v.is_finite())
            }
            Self::Fixed(Grid::Count(0)) => Err(Error::config("steps", "expected at least one")),
            Self::Fixed(Grid::Count(_)) => Ok(()),
            Self::Adaptive(adaptive) => adaptive.check(),
        }
    }

    /// Whether each sample has a time and a step size of its own.
    #[must_use]
    pub fn is_per_sample(&self) -> bool {
        matches!(self, Self::Adaptive(Adaptive { batching: Batching::PerSample, .. }))
    }
}

fn require(name: &str, wanted: &str, values: &[f64], ok: impl Fn(f64) -> bool) -> Result<()> {
    match values.iter().find(|value| !ok(**value)) {
        None => Ok(()),
        Some(value) => Err(Error::config(name, format!("expected {wanted}, got {value}"))),
    }
}

/// One number for each of an event, in the event's shape.
fn spread(name: &str, values: &[f64], like: &Tensor) -> Result<Tensor> {
    let event = &like.size()[1..];
    let wanted: i64 = event.iter().product();
    if i64::try_from(values.len()).ok() != Some(wanted) {
        let why =
            format!("expected {wanted} numbers, one for each of the event, got {}", values.len());
        return Err(Error::config(name, why));
    }
    Ok(crate::time::numbers(values, like)?.f_view(event)?)
}
