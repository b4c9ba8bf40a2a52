//! The map of a continuous flow between the times of its base and of its data.

use crate::flow_state::{Extras, FlowField, SharedDrift, Unpacked};
use crate::mlp::{Plan, solve_fused};
use crate::solution::Counts;
use crate::trace::Trace;
use crate::{Gradient, SharedField, Solution, Solver};
use maxlik_model::{Bijection, Mapped, PropagateScore};
use maxlik_tensor::Result;
use tch::{Device, Kind, Tensor};

/// The endpoint of `dx/dt = v(t, x)` as a function of its start; the log-determinant is the integral of
/// the divergence.
#[derive(Debug)]
pub(crate) struct FlowMap {
    pub(crate) drift: SharedDrift,
    pub(crate) solver: Solver,
    pub(crate) event: Vec<i64>,
    pub(crate) context: Option<Vec<i64>>,
    /// Those of the base and of the data.
    pub(crate) times: (f64, f64),
    pub(crate) trace: Trace,
    pub(crate) gradient: Option<(Gradient, Vec<Tensor>)>,
}

impl FlowMap {
    /// Start and end from data to base.
    pub(crate) fn to_base(&self) -> (f64, f64) {
        (self.times.1, self.times.0)
    }

    /// Start and end from base to data.
    pub(crate) fn to_data(&self) -> (f64, f64) {
        self.times
    }

    /// The vectors that see the divergence in a solve that starts at `x` at that time.
    pub(crate) fn probe(
        &self,
        start: f64,
        x: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        let rows = x.size().first().copied().unwrap_or_default();
        let t = Tensor::f_full([rows], start, (x.kind(), x.device()))?;
        self.drift.with(|drift| self.trace.draw(drift, &t, x, context))
    }

    /// The right-hand side for `x`, the integral of the divergence and what else is asked for.
    pub(crate) fn field(
        &self,
        context: Option<&Tensor>,
        probe: Option<&Tensor>,
        extras: Extras,
    ) -> FlowField {
        FlowField {
            drift: self.drift.clone(),
            event: self.event.clone(),
            context: context.map(Tensor::shallow_clone),
            probe: probe.map(Tensor::shallow_clone),
            extras,
            traced: true,
        }
    }

    /// The solve on tensors, with gradients in the way that was chosen.
    pub(crate) fn solve(
        &self,
        field: &FlowField,
        start: &Tensor,
        times: &Tensor,
    ) -> Result<Solution> {
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

    /// The solve by the kernels for networks with two hidden layers, where they can do it.
    pub(crate) fn fused(
        &self,
        x: &Tensor,
        context: Option<&Tensor>,
        probe: Option<&Tensor>,
        extras: Extras,
        span: (f64, f64),
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
        let plan =
            Plan { tableau: *tableau, control: control.clone(), times: span, kind: x.kind() };
        let probe = probe.map(|probe| probe.f_select(0, 0)).transpose()?;
        let (end, divergence, solution) =
            solve_fused(&network, probe.as_ref(), x, plan, &self.solver)?;
        solution.ensure_success()?;
        let end = Unpacked { x: end, divergence, kinetic: None, frobenius: None };
        Ok(Some((end, solution.counts)))
    }

    /// The endpoint alone: without a divergence, but where kernels solve, which have it at hand.
    pub(crate) fn point(
        &self,
        x: &Tensor,
        context: Option<&Tensor>,
        span: (f64, f64),
    ) -> Result<Tensor> {
        if let Some((end, _)) = self.fused(x, context, None, Extras::default(), span)? {
            return Ok(end.x);
        }
        let field = FlowField { traced: false, ..self.field(context, None, Extras::default()) };
        let times = Tensor::f_from_slice(&[span.0, span.1])?;
        let end = self.solve(&field, &field.pack(x)?, &times)?;
        Ok(field.unpack(&end.final_states())?.x)
    }

    fn mapped(&self, x: &Tensor, context: Option<&Tensor>, span: (f64, f64)) -> Result<Mapped> {
        let probe = self.probe(span.0, x, context)?;
        let extras = Extras::default();
        let end = match self.fused(x, context, probe.as_ref(), extras, span)? {
            Some((end, _)) => end,
            None => {
                let field = self.field(context, probe.as_ref(), extras);
                let times = Tensor::f_from_slice(&[span.0, span.1])?;
                let solution = self.solve(&field, &field.pack(x)?, &times)?;
                field.unpack(&solution.final_states())?
            }
        };
        Ok(Mapped { value: end.x, log_det: end.divergence })
    }
}

impl Bijection for FlowMap {
    fn domain(&self) -> &[i64] {
        &self.event
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.mapped(x, context, self.to_base())
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.mapped(z, context, self.to_data())
    }

    fn propagation(&self) -> Option<&dyn PropagateScore> {
        Some(self)
    }
}
