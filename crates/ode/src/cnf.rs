//! Continuous normalizing flows.

use crate::flow_map::FlowMap;
use crate::flow_state::{Extras, SharedDrift};
use crate::solution::Counts;
use crate::trace::{Autograd, Drift, Trace};
use crate::{Gradient, Solver};
use maxlik_model::{
    Bijection, Density, PathDensity, PropagateScore, Propagated, Sampled, VectorField,
};
use maxlik_tensor::{Error, Result, check};
use tch::{Device, Kind, Tensor};

/// The density of the endpoint of `dx/dt = v(t, x)` from a base density:
/// `ln p(x) = ln p₀(x₀) − ∫ tr ∂v/∂x dt` along the solution (Chen, Rubanova, Bettencourt and
/// Duvenaud 2018, arXiv:1806.07366, theorem 1).
///
/// It carries scores along ([`PropagateScore`]): the score `δ = ∇ₓ ln p_t` of the densities on the way
/// obeys `dδ/dt = −(∂v/∂x)ᵀ δ − ∇ₓ tr ∂v/∂x`, in both directions, and is solved together with the
/// point and its log-density. So path gradients take one solve, in which only the velocity is
/// recorded. The score is that of the exact solution, so that it is the gradient of [`Cnf`]'s own
/// log-density as nearly as the solver is exact.
///
/// ```
/// use maxlik_model::{Density, VectorField};
/// use maxlik_ode::{Adaptive, Cnf, Gaussian, Solver, tableau};
/// use maxlik_tensor::Result;
/// use tch::{Device, Kind, Tensor};
///
/// /// `v = x`: stretches the standard normal density by `e`.
/// #[derive(Debug)]
/// struct Grow;
///
/// impl VectorField for Grow {
///     fn velocity(&self, _t: &Tensor, x: &Tensor, _c: Option<&Tensor>) -> Result<Tensor> {
///         Ok(x.shallow_clone())
///     }
/// }
///
/// let base = Gaussian::standard(&[2], Kind::Double, Device::Cpu)?;
/// let wide = Gaussian::new(&[2], 1.0_f64.exp(), Kind::Double, Device::Cpu)?;
/// let solver = Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-9, 1e-9))?;
/// let cnf = Cnf::new(Grow, base, solver);
/// let x = Tensor::from_slice(&[0.3_f64, -2.0, 1.0, 0.5]).view([2, 2]);
/// let gap = cnf.log_prob(&x, None)? - wide.log_prob(&x, None)?;
/// assert!(gap.abs().max().double_value(&[]) < 1e-7);
/// assert_eq!(cnf.sample(5, None)?.size(), [5, 2]);
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct Cnf {
    map: FlowMap,
    base: Box<dyn Density>,
    extras: Extras,
    steer: f64,
}

/// The random numbers of one evaluation of a [`Cnf`].
#[derive(Debug)]
pub struct Draws {
    /// Vectors that see the divergence, `[K, B, …]`; `None` for the exact trace.
    pub probe: Option<Tensor>,
    /// The time at which the base is met, `[B]`, where it is not the flow's own (STEER).
    pub base_time: Option<Tensor>,
}

/// What one evaluation of a [`Cnf`] finds.
#[derive(Debug)]
pub struct Evaluated {
    /// `ln p`, or its estimate, `[B]`, in nats.
    pub log_prob: Tensor,
    /// The points at the base, `[B, …]`.
    pub latent: Tensor,
    /// `∫ ‖v‖² dt` for each sample, `[B]`, where it is asked for.
    pub kinetic: Option<Tensor>,
    /// `∫ ‖∂v/∂x‖² dt` in the Frobenius norm, or its estimate, `[B]`, where it is asked for.
    pub frobenius: Option<Tensor>,
    /// Evaluations and steps of each sample.
    pub counts: Vec<Counts>,
}

impl Cnf {
    /// The flow of any velocity field from the base at time 0 to the data at time 1.
    pub fn new(
        field: impl VectorField + 'static,
        base: impl Density + 'static,
        solver: Solver,
    ) -> Self {
        Self::with_drift(Autograd(field), base, solver)
    }

    /// The flow of a field that knows its divergence.
    pub fn with_drift(
        drift: impl Drift + 'static,
        base: impl Density + 'static,
        solver: Solver,
    ) -> Self {
        let map = FlowMap {
            drift: SharedDrift::new(drift),
            solver,
            event: base.event_shape().to_vec(),
            context: None,
            times: (0.0, 1.0),
            trace: Trace::Exact,
            gradient: None,
        };
        Self { map, base: Box::new(base), extras: Extras::default(), steer: 0.0 }
    }

    /// With a context of that event shape, which goes to the field.
    #[must_use]
    pub fn context(mut self, event: &[i64]) -> Self {
        self.map.context = Some(event.to_vec());
        self
    }

    /// With other times of the base and of the data.
    #[must_use]
    pub fn times(mut self, base: f64, data: f64) -> Self {
        self.map.times = (base, data);
        self
    }

    /// With another way to the divergence.
    ///
    /// # Errors
    /// [`Error::Config`] for no probes.
    pub fn trace(mut self, trace: Trace) -> Result<Self> {
        trace.check()?;
        self.map.trace = trace;
        Ok(self)
    }

    /// With the integrals of RNODE in the result: the kinetic energy and the squared Frobenius norm
    /// of the Jacobian (Finlay, Jacobsen, Nurbekyan and Oberman 2020, "How to train your neural
    /// ODE", arXiv:2002.02798, eq. 12).
    #[must_use]
    pub fn regularisers(mut self, kinetic: bool, frobenius: bool) -> Self {
        self.extras = Extras { kinetic, frobenius };
        self
    }

    /// With a random time of the base, uniform within `±width` of it, in [`Cnf::draws`] (STEER:
    /// Ghosh, Behl, Dupont, Torr and Namboodiri 2020, arXiv:2006.10711).
    ///
    /// # Errors
    /// [`Error::Config`] where the time could reach that of the data.
    pub fn steer(mut self, width: f64) -> Result<Self> {
        let span = (self.map.times.1 - self.map.times.0).abs();
        if !(width >= 0.0 && width < span) {
            let why = format!("expected 0 ≤ width < {span}, got {width}");
            return Err(Error::config("steer", why));
        }
        self.steer = width;
        Ok(self)
    }

    /// With another way to the gradients, by these parameters of the field (see
    /// [`Solver::solve_with`]).
    #[must_use]
    pub fn gradient(mut self, gradient: Gradient, parameters: &[Tensor]) -> Self {
        let parameters = parameters.iter().map(Tensor::shallow_clone).collect();
        self.map.gradient = Some((gradient, parameters));
        self
    }

    /// Random numbers for an evaluation at `x`, from LibTorch's generator.
    ///
    /// # Errors
    /// Those of the field, which Hutch++ looks at.
    pub fn draws(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Draws> {
        let rows = x.size()[0];
        let probe = self.map.probe(self.map.times.1, x, context)?;
        let base_time = if self.steer == 0.0 {
            None
        } else {
            let own = self.map.solver.control().is_per_sample();
            let count = if own { rows } else { 1 };
            let uniform = Tensor::f_rand([count], (Kind::Double, x.device()))?;
            let time = uniform
                .f_mul_scalar(2.0 * self.steer)?
                .f_add_scalar(self.map.times.0 - self.steer)?;
            Some(time.f_expand([rows], false)?.f_contiguous()?)
        };
        Ok(Draws { probe, base_time })
    }

    /// `ln p(x)` with what else was found on the way, for given random numbers.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] for arguments that do not fit, and
    /// [`Error::NotConverged`] or [`Error::NonFinite`] where a sample could not be solved.
    pub fn evaluate(
        &self,
        x: &Tensor,
        context: Option<&Tensor>,
        draws: &Draws,
    ) -> Result<Evaluated> {
        check::floating("x", x)?;
        check::batch_of("x", x, self.event_shape())?;
        check::context(x, context, self.context_shape())?;
        let field = self.map.field(context, draws.probe.as_ref(), self.extras);
        let data = Tensor::f_from_slice(&[self.map.times.1])?;
        let times = match &draws.base_time {
            None => Tensor::f_from_slice(&[self.map.times.1, self.map.times.0])?,
            Some(base) if self.map.solver.control().is_per_sample() => {
                let base = base.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
                Tensor::f_stack(&[data.f_expand([base.size()[0]], false)?, base], 1)?
            }
            Some(base) => {
                let base = base.f_narrow(0, 0, 1)?.f_to_device(Device::Cpu)?;
                Tensor::f_cat(&[data, base.f_to_kind(Kind::Double)?], 0)?
            }
        };
        let probe = draws.probe.as_ref();
        let shared = draws.base_time.is_none();
        let fused = if shared {
            self.map.fused(x, context, probe, self.extras, self.map.to_base())?
        } else {
            None
        };
        let (end, counts) = match fused {
            Some(found) => found,
            None => {
                let solution = self.map.solve(&field, &field.pack(x)?, &times)?;
                (field.unpack(&solution.final_states())?, solution.counts)
            }
        };
        let log_prob = self.base_log_prob(&end.x, context)?.f_add(&end.divergence)?;
        // The integrals run from the data to the base.
        let sign = (self.map.times.0 - self.map.times.1).signum();
        let forward = |x: Tensor| x.f_mul_scalar(sign);
        Ok(Evaluated {
            log_prob,
            latent: end.x,
            kinetic: end.kinetic.map(forward).transpose()?,
            frobenius: end.frobenius.map(forward).transpose()?,
            counts,
        })
    }

    fn base_log_prob(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.base.log_prob(z, context.filter(|_| self.base.context_shape().is_some()))
    }

    fn for_map<'c>(&self, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
        self.map.context.as_ref().and(context)
    }
}

impl Density for Cnf {
    fn event_shape(&self) -> &[i64] {
        self.base.event_shape()
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.map.context.as_deref()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let draws = Draws { base_time: None, ..self.draws(x, context)? };
        Ok(self.evaluate(x, context, &draws)?.log_prob)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let for_base = context.filter(|_| self.base.context_shape().is_some());
        let z = self.base.draw(count, for_base)?;
        self.map.point(&z, context, self.map.to_data())
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        if let Some(context) = context {
            check::batch_of("context", context, self.context_shape().unwrap_or(&[]))?;
        }
        let for_base = context.filter(|_| self.base.context_shape().is_some());
        let start = self.base.rsample_and_log_prob(count, for_base)?;
        let mapped = self.map.unmap(&start.value, context)?;
        Ok(Sampled { log_prob: start.log_prob.f_sub(&mapped.log_det)?, value: mapped.value })
    }
}

impl PropagateScore for Cnf {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.map.map_score(x, score, self.for_map(context))
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.map.unmap_score(z, score, self.for_map(context))
    }
}

impl PathDensity for Cnf {
    fn base(&self) -> &dyn Density {
        self.base.as_ref()
    }

    fn transform(&self) -> &dyn Bijection {
        &self.map
    }

    fn to_data(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.map.point(z, self.for_map(context), self.map.to_data())
    }

    fn to_latent(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.map.point(x, self.for_map(context), self.map.to_base())
    }
}
