//! Continuous flows of a recipe: the density that is evaluated, and the likelihood with regularisers
//! that trains it.

use maxlik_flows::Flow;
use maxlik_model::{Batch, Bijection, Density, Loss, Mapped, Metric, Objective, VectorField};
use maxlik_nn::{Activation, Scope};
use maxlik_objectives::density::MaximumLikelihood;
use maxlik_objectives::transport::FlowMatching;
use maxlik_ode::{
    Adaptive, Cnf, Draws, Gaussian, MlpField, MlpFieldConfig, Solver, Trace, tableau,
};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// FFJORD: a continuous flow of a perceptron.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CnfConfig {
    /// Widths of the hidden layers. Two with `tanh` are solved by kernels, with the exact trace at no
    /// more cost than an estimate.
    pub hidden: Vec<i64>,
    /// Nonlinearity between layers.
    pub activation: Activation,
    /// The divergence in training; evaluation always takes the exact trace.
    pub trace: Trace,
    /// Relative and absolute tolerance of the solver, Dopri5.
    pub tolerance: f64,
    /// Weight of `∫ |v|² dt` (RNODE, arXiv:2002.02798).
    pub kinetic: f64,
    /// Weight of `∫ |∂v/∂x|² dt` (RNODE).
    pub jacobian: f64,
    /// Half the width of the random time of the base in training (STEER, arXiv:2006.10711).
    pub steer: f64,
}

impl Default for CnfConfig {
    fn default() -> Self {
        let MlpFieldConfig { hidden, activation } = MlpFieldConfig::default();
        Self {
            hidden,
            activation,
            trace: Trace::Exact,
            tolerance: 1e-5,
            kinetic: 0.0,
            jacobian: 0.0,
            steer: 0.0,
        }
    }
}

/// A density, and what trains it.
pub type Trained = (Box<dyn Density>, Box<dyn Objective<dyn Density>>);

impl CnfConfig {
    fn check(&self) -> Result<()> {
        for (name, value) in [("kinetic", self.kinetic), ("jacobian", self.jacobian)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::config(name, format!("expected a number ≥ 0, got {value}")));
            }
        }
        let tolerance = self.tolerance;
        if !(tolerance > 0.0 && tolerance < 1.0) {
            let why = format!("expected a number in (0, 1), got {tolerance}");
            return Err(Error::config("tolerance", why));
        }
        Ok(())
    }

    /// Whether nothing is asked for that only likelihood training has: regularisers, a random end, an
    /// estimated trace.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let penalties = [self.kinetic, self.jacobian, self.steer];
        penalties.iter().all(|p| *p == 0.0) && self.trace == Trace::Exact
    }

    /// The flow on events of `d` numbers after `before`, and what trains it: flow matching where it is
    /// given, else likelihood. `again` are the same layers once more, for the objective.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers out of range.
    pub fn build(
        &self,
        scope: &Scope<'_>,
        d: i64,
        before: Option<Box<dyn Bijection>>,
        again: Option<Box<dyn Bijection>>,
        matching: Option<FlowMatching>,
    ) -> Result<Trained> {
        self.check()?;
        if matching.is_some() && !self.is_plain() {
            let why = "flow matching solves no equation in training: expected no trace, kinetic, \
                       jacobian or steer";
            return Err(Error::config("objective.kind", why));
        }
        let config = MlpFieldConfig { hidden: self.hidden.clone(), activation: self.activation };
        let field = MlpField::new(scope, d, 0, &config)?;
        let make = |field: MlpField| -> Result<Cnf> {
            let base = Gaussian::standard(&[d], scope.kind(), scope.device())?;
            let adaptive = Adaptive::new(self.tolerance, self.tolerance).joint();
            Ok(Cnf::with_drift(field, base, Solver::adaptive(tableau::DOPRI5, adaptive)?))
        };
        let shared = field.share();
        let trained = make(field.share())?
            .trace(self.trace)?
            .regularisers(self.kinetic > 0.0, self.jacobian > 0.0)
            .steer(self.steer)?;
        let cnf = make(field)?;
        let density: Box<dyn Density> = match before {
            None => Box::new(cnf),
            Some(before) => Box::new(Flow::new(before, Box::new(cnf))?),
        };
        let objective: Box<dyn Objective<dyn Density>> = match matching {
            Some(matching) => Box::new(FieldMatching { before: again, field: shared, matching }),
            None => Box::new(ContinuousLikelihood {
                before: again,
                cnf: trained,
                kinetic: self.kinetic,
                jacobian: self.jacobian,
            }),
        };
        Ok((density, objective))
    }
}

/// `−ln p + a ∫ |v|² dt + b ∫ |∂v/∂x|² dt`, the mean over the batch.
///
/// It is bound to the flow that it was built with: the trace is estimated, and the base is met at a
/// random time, as the configuration says, while the density itself is evaluated exactly.
#[derive(Debug)]
pub struct ContinuousLikelihood {
    before: Option<Box<dyn Bijection>>,
    cnf: Cnf,
    kinetic: f64,
    jacobian: f64,
}

/// Data after the layers before the flow.
fn map(before: Option<&dyn Bijection>, x: &Tensor) -> Result<Mapped> {
    match before {
        Some(before) => before.forward(x, None),
        None => Ok(Mapped {
            value: x.shallow_clone(),
            log_det: Tensor::f_zeros([x.size()[0]], (x.kind(), x.device()))?,
        }),
    }
}

/// Flow matching of the field that the density integrates: a step costs one evaluation of it, where
/// likelihood solves an equation.
#[derive(Debug)]
pub struct FieldMatching {
    before: Option<Box<dyn Bijection>>,
    field: MlpField,
    matching: FlowMatching,
}

impl Objective<dyn Density> for FieldMatching {
    fn loss(&self, _model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        let batch = Batch {
            data: map(self.before.as_deref(), &batch.data)?.value,
            context: None,
            weight: batch.weight.as_ref().map(Tensor::shallow_clone),
        };
        self.matching.loss(&self.field as &dyn VectorField, &batch)
    }
}

impl ContinuousLikelihood {
    /// The loss at given random numbers.
    ///
    /// # Errors
    /// Those of the flow, and of a batch that does not fit it.
    pub fn loss_at(&self, batch: &Batch, draws: &Draws) -> Result<Loss> {
        let mapped = map(self.before.as_deref(), &batch.data)?;
        let found = self.cnf.evaluate(&mapped.value, None, draws)?;
        let log_prob = found.log_prob.f_add(&mapped.log_det)?;
        let weight = batch.weight.as_ref();
        let mut value = MaximumLikelihood::loss_at(&log_prob, weight)?;
        let evaluations: f64 = found.counts.iter().map(|c| c.evaluations as f64).sum();
        let mean = evaluations / found.counts.len().max(1) as f64;
        let place = (value.kind(), value.device());
        let count = Tensor::f_full([0_i64; 0].as_slice(), mean, place)?;
        let mut metrics = vec![Metric { name: "evaluations", value: count }];
        for (name, part, factor) in [
            ("kinetic", &found.kinetic, self.kinetic),
            ("jacobian", &found.frobenius, self.jacobian),
        ] {
            let Some(part) = part else { continue };
            let mean = -MaximumLikelihood::loss_at(part, weight)?;
            metrics.push(Metric { name, value: mean.f_detach()? });
            value = value.f_add(&mean.f_mul_scalar(factor)?)?;
        }
        Ok(Loss { value, metrics })
    }
}

impl Objective<dyn Density> for ContinuousLikelihood {
    fn loss(&self, _model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        if batch.data.size().first() == Some(&0) {
            return Err(Error::shape("data", "a batch of at least one row", &batch.data.size()));
        }
        let x = map(self.before.as_deref(), &batch.data)?.value;
        let draws = self.cnf.draws(&x, None)?;
        self.loss_at(batch, &draws)
    }
}
