//! A learned monotone schedule of noise levels.

use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Error, Result, safe};
use tch::{Kind, Tensor};

/// `γ(t)` on `[0, 1]`, rising from `g0` to `g1` whatever its parameters:
/// `γ = g0 + (g1 − g0) (h(t) − h(0))/(h(1) − h(0))` with `h(t) = a t + Σ_k w_k sigmoid(v_k (t − u_k))` and
/// positive `a`, `w`, `v` (after Kingma, Salimans, Poole and Ho 2021, "Variational diffusion models",
/// arXiv:2107.00630, appendix H; steps with centres of their own in place of a hidden layer).
///
/// Between fixed ends the evidence bound does not depend on the schedule (their sec. 5.1); the variance of
/// its estimate does, which a schedule is trained to lower (appendix I.2).
#[derive(Debug)]
pub struct MonotoneSchedule {
    ends: [f64; 2],
    slope: Tensor,
    /// `[units]` each.
    weights: Tensor,
    steepness: Tensor,
    centres: Tensor,
}

/// A schedule at some times.
#[derive(Debug)]
pub struct ScheduleAt {
    /// `γ(t)`, `[B]`.
    pub gamma: Tensor,
    /// `dγ/dt`, positive, `[B]`.
    pub rate: Tensor,
}

impl MonotoneSchedule {
    /// A schedule from `g0` to `g1` with so many steps; it starts near the straight line.
    ///
    /// # Errors
    /// [`Error::Config`] for ends that do not rise or no units, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, [g0, g1]: [f64; 2], units: i64) -> Result<Self> {
        if !(g0 < g1 && g0.is_finite() && g1.is_finite()) {
            return Err(Error::config("ends", format!("expected g0 < g1, got {g0} and {g1}")));
        }
        if units < 1 {
            return Err(Error::config("units", format!("expected at least one, got {units}")));
        }
        let constant = |name, value| scope.param(name, &[units], Init::Constant(value));
        Ok(Self {
            ends: [g0, g1],
            // All are softplus⁻¹ of what is meant: 1, about 0.02, about 8.
            slope: scope.param("slope", &[1], Init::Constant(1.0_f64.exp_m1().ln()))?,
            weights: constant("weights", -4.0)?,
            steepness: constant("steepness", 8.0)?,
            centres: scope.param("centres", &[units], Init::Uniform(1.0))?,
        })
    }

    /// `g0` and `g1`.
    #[must_use]
    pub fn ends(&self) -> [f64; 2] {
        self.ends
    }

    /// `γ` and `dγ/dt` at the times `t` `[B]`; both are differentiable by the parameters.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn at(&self, t: &Tensor) -> Result<ScheduleAt> {
        let low = self.raw(&Tensor::f_zeros([1], (t.kind(), t.device()))?)?;
        let high = self.raw(&Tensor::f_ones([1], (t.kind(), t.device()))?)?;
        let here = self.raw(t)?;
        let scale = high.gamma.f_sub(&low.gamma)?.f_reciprocal()?;
        let scale = scale.f_mul_scalar(self.ends[1] - self.ends[0])?;
        let gamma = here.gamma.f_sub(&low.gamma)?.f_mul(&scale)?.f_add_scalar(self.ends[0])?;
        Ok(ScheduleAt { gamma, rate: here.rate.f_mul(&scale)? })
    }

    /// `h` and `dh/dt`.
    fn raw(&self, t: &Tensor) -> Result<ScheduleAt> {
        let steepness = safe::softplus(&self.steepness)?;
        let weights = safe::softplus(&self.weights)?;
        let slope = safe::softplus(&self.slope)?;
        // [B, 1] against [units].
        let angle = t.f_unsqueeze(1)?.f_sub(&self.centres)?.f_mul(&steepness)?;
        let step = angle.f_sigmoid()?;
        let rise = step.f_mul(&angle.f_neg()?.f_sigmoid()?)?.f_mul(&steepness)?;
        let sum = |x: Tensor| -> Result<Tensor> {
            let weighted = x.f_mul(&weights)?;
            Ok(weighted.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
        };
        Ok(ScheduleAt {
            gamma: sum(step)?.f_add(&t.f_mul(&slope)?)?,
            rate: sum(rise)?.f_add(&slope)?,
        })
    }
}
