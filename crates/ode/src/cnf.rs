//! Continuous normalizing flows.

use crate::flow_state::{Extras, FlowField, SharedDrift, Unpacked};
use crate::mlp::{Plan, solve_fused};
use crate::solution::Counts;
use crate::trace::{Autograd, Drift, Trace};
use crate::{Gradient, SharedField, Solution, Solver};
use maxlik_model::{Density, Sampled, VectorField};
use maxlik_tensor::{Error, Result, check};
use tch::{Device, Kind, Tensor};

/// The density of the endpoint of `dx/dt = v(t, x)` from a base density:
/// `ln p(x) = ln p₀(x₀) − ∫ tr ∂v/∂x dt` along the solution (Chen, Rubanova, Bettencourt and
/// Duvenaud 2018, arXiv:1806.07366, theorem 1).
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
    drift: SharedDrift,
    base: Box<dyn Density>,
    solver: Solver,
    context: Option<Vec<i64>>,
    times: (f64, f64),
    trace: Trace,
    extras: Extras,
    steer: f64,
    gradient: Option<(Gradient, Vec<Tensor>)>,
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
        Self {
            drift: SharedDrift::new(drift),
            base: Box::new(base),
            solver,
            context: None,
            times: (0.0, 1.0),
            trace: Trace::Exact,
            extras: Extras::default(),
            steer: 0.0,
            gradient: None,
        }
    }

    /// With a context of that event shape, which goes to the field.
    #[must_use]
    pub fn context(mut self, event: &[i64]) -> Self {
        self.context = Some(event.to_vec());
        self
    }

    /// With other times of the base and of the data.
    #[must_use]
    pub fn times(mut self, base: f64, data: f64) -> Self {
        self.times = (base, data);
        self
    }

    /// With another way to the divergence.
    ///
    /// # Errors
    /// [`Error::Config`] for no probes.
    pub fn trace(mut self, trace: Trace) -> Result<Self> {
        trace.check()?;
        self.trace = trace;
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
        let span = (self.times.1 - self.times.0).abs();
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
        self.gradient = Some((gradient, parameters));
        self
    }

    /// Random numbers for an evaluation at `x`, from LibTorch's generator.
    ///
    /// # Errors
    /// Those of the field, which Hutch++ looks at.
    pub fn draws(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Draws> {
        let rows = x.size()[0];
        let t = Tensor::f_full([rows], self.times.1, (x.kind(), x.device()))?;
        let probe = self.drift.with(|drift| self.trace.draw(drift, &t, x, context))?;
        let base_time = if self.steer == 0.0 {
            None
        } else {
            let own = self.solver.control().is_per_sample();
            let count = if own { rows } else { 1 };
            let uniform = Tensor::f_rand([count], (Kind::Double, x.device()))?;
            let time =
                uniform.f_mul_scalar(2.0 * self.steer)?.f_add_scalar(self.times.0 - self.steer)?;
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
        let field = self.field(context, draws.probe.as_ref(), self.extras);
        let data = Tensor::f_from_slice(&[self.times.1])?;
        let times = match &draws.base_time {
            None => Tensor::f_from_slice(&[self.times.1, self.times.0])?,
            Some(base) if self.solver.control().is_per_sample() => {
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
        let fused = if shared { self.fused(x, context, probe, self.extras)? } else { None };
        let (end, counts) = match fused {
            Some(found) => found,
            None => {
                let solution = self.solve(&field, &field.pack(x)?, &times)?;
                (field.unpack(&solution.final_states())?, solution.counts)
            }
        };
        let log_prob = self.base_log_prob(&end.x, context)?.f_add(&end.divergence)?;
        // The integrals run from the data to the base.
        let sign = (self.times.0 - self.times.1).signum();
        let forward = |x: Tensor| x.f_mul_scalar(sign);
        Ok(Evaluated {
            log_prob,
            latent: end.x,
            kinetic: end.kinetic.map(forward).transpose()?,
            frobenius: end.frobenius.map(forward).transpose()?,
            counts,
        })
    }

    /// The solve from the data to the base by the kernels for networks with two hidden layers, where
    /// they can do it.
    fn fused(
        &self,
        x: &Tensor,
        context: Option<&Tensor>,
        probe: Option<&Tensor>,
        extras: Extras,
    ) -> Result<Option<(Unpacked, Vec<Counts>)>> {
        let (Some(tableau), control) = (self.solver.stepper().tableau(), self.solver.control())
        else {
            return Ok(None);
        };
        let one = probe.is_none_or(|probe| probe.size()[0] == 1);
        let plain = extras == Extras::default() && self.gradient.is_none() && one;
        let cpu = x.device() == Device::Cpu && matches!(x.kind(), Kind::Float | Kind::Double);
        if !plain || !cpu || x.dim() != 2 || !Plan::fits(tableau, control) {
            return Ok(None);
        }
        let Some(network) = self.drift.with(|drift| drift.two_layer(context))? else {
            return Ok(None);
        };
        network.check(x)?;
        let plan = Plan {
            tableau: *tableau,
            control: control.clone(),
            times: (self.times.1, self.times.0),
            kind: x.kind(),
        };
        let probe = probe.map(|probe| probe.f_select(0, 0)).transpose()?;
        let (end, divergence, solution) =
            solve_fused(&network, probe.as_ref(), x, plan, &self.solver)?;
        solution.ensure_success()?;
        let end = Unpacked { x: end, divergence, kinetic: None, frobenius: None };
        Ok(Some((end, solution.counts)))
    }

    fn base_log_prob(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.base.log_prob(z, context.filter(|_| self.base.context_shape().is_some()))
    }

    fn field(&self, context: Option<&Tensor>, probe: Option<&Tensor>, extras: Extras) -> FlowField {
        FlowField {
            drift: self.drift.clone(),
            event: self.base.event_shape().to_vec(),
            context: context.map(Tensor::shallow_clone),
            probe: probe.map(Tensor::shallow_clone),
            extras,
            traced: true,
        }
    }

    fn solve(&self, field: &FlowField, start: &Tensor, times: &Tensor) -> Result<Solution> {
        let solution = match &self.gradient {
            None => self.solver.solve(field, start, times)?,
            Some((gradient, parameters)) => {
                let shared = SharedField::new(field.share());
                self.solver.solve_with(&shared, parameters, start, times, gradient)?
            }
        };
        solution.ensure_success()?;
        Ok(solution)
    }
}

impl Density for Cnf {
    fn event_shape(&self) -> &[i64] {
        self.base.event_shape()
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let draws = Draws { base_time: None, ..self.draws(x, context)? };
        Ok(self.evaluate(x, context, &draws)?.log_prob)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let for_base = context.filter(|_| self.base.context_shape().is_some());
        let z = self.base.draw(count, for_base)?;
        let field = FlowField { traced: false, ..self.field(context, None, Extras::default()) };
        let times = Tensor::f_from_slice(&[self.times.0, self.times.1])?;
        let end = self.solve(&field, &field.pack(&z)?, &times)?;
        Ok(field.unpack(&end.final_states())?.x)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        if let Some(context) = context {
            check::batch_of("context", context, self.context_shape().unwrap_or(&[]))?;
        }
        let for_base = context.filter(|_| self.base.context_shape().is_some());
        let start = self.base.rsample_and_log_prob(count, for_base)?;
        let z = &start.value;
        let t = Tensor::f_full([count], self.times.0, (z.kind(), z.device()))?;
        let probe = self.drift.with(|drift| self.trace.draw(drift, &t, z, context))?;
        let field = self.field(context, probe.as_ref(), Extras::default());
        let times = Tensor::f_from_slice(&[self.times.0, self.times.1])?;
        let solution = self.solve(&field, &field.pack(z)?, &times)?;
        let end = field.unpack(&solution.final_states())?;
        Ok(Sampled { log_prob: start.log_prob.f_sub(&end.divergence)?, value: end.x })
    }
}
