//! Penalised maximum likelihood.

use maxlik_model::{Batch, Density, Loss, Metric, Objective};
use maxlik_tensor::autograd::{self, Graph};
use maxlik_tensor::{Error, Result};
use std::fmt::Debug;
use tch::{Kind, Tensor};

/// A quantity that a density should keep small.
pub trait Penalty: Debug + Send {
    /// Its name in logs.
    fn name(&self) -> &'static str;

    /// The penalty, a scalar with its graph.
    ///
    /// # Errors
    /// Those of the model.
    fn penalty(&self, model: &dyn Density, batch: &Batch) -> Result<Tensor>;
}

/// `L + λ P`: an objective and a penalty.
#[derive(Debug)]
pub struct Penalized<O> {
    objective: O,
    weight: f64,
    penalty: Box<dyn Penalty>,
}

impl<O> Penalized<O> {
    /// `objective + weight · penalty`.
    ///
    /// # Errors
    /// [`Error::Config`] for a weight that is negative or not finite.
    pub fn new(objective: O, weight: f64, penalty: Box<dyn Penalty>) -> Result<Self> {
        if !(weight >= 0.0 && weight.is_finite()) {
            let why = format!("expected a number of at least zero, got {weight}");
            return Err(Error::config("weight", why));
        }
        Ok(Self { objective, weight, penalty })
    }
}

impl<O: Objective<dyn Density>> Objective<dyn Density> for Penalized<O> {
    fn loss(&self, model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        let mut loss = self.objective.loss(model, batch)?;
        let penalty = self.penalty.penalty(model, batch)?;
        loss.metrics.push(Metric { name: self.penalty.name(), value: penalty.f_detach()? });
        loss.value = loss.value.f_add(&(penalty * self.weight))?;
        Ok(loss)
    }
}

/// `mean ‖∇ₓ ln p(x)‖²` over the batch: a roughness penalty, the sample version of
/// `∫ ‖∇p‖²/p dx` of Good and Gaskins 1971 ("Nonparametric roughness penalties for probability
/// densities", Biometrika 58). It keeps a density from peaking at single points.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScoreNorm;

impl Penalty for ScoreNorm {
    fn name(&self) -> &'static str {
        "score_norm"
    }

    fn penalty(&self, model: &dyn Density, batch: &Batch) -> Result<Tensor> {
        autograd::recorded(|| {
            let x = autograd::leaf(&batch.data)?;
            let log_prob = model.unnormalized_log_prob(&x, batch.context.as_ref())?;
            let total = log_prob.f_sum(None::<Kind>)?;
            let score = autograd::gradient(&total, None, &x, Graph::Differentiable)?;
            let rows = x.size().first().copied().unwrap_or_default().max(1);
            Ok(score.f_square()?.f_sum(None::<Kind>)? / rows as f64)
        })
    }
}

/// `½ Σ ‖θ‖²` over given parameters: with weight `λ`, the likelihood of `N` rows and the mean over
/// them, the optimum is the posterior mode under the prior `θ ~ N(0, I/(λN))`.
#[derive(Debug)]
pub struct ParameterNorm {
    parameters: Vec<Tensor>,
}

impl ParameterNorm {
    /// The norm of these parameters, which stay shared with the model.
    #[must_use]
    pub fn new(parameters: &[Tensor]) -> Self {
        Self { parameters: parameters.iter().map(Tensor::shallow_clone).collect() }
    }
}

impl Penalty for ParameterNorm {
    fn name(&self) -> &'static str {
        "parameter_norm"
    }

    fn penalty(&self, _model: &dyn Density, batch: &Batch) -> Result<Tensor> {
        let zero = Tensor::f_zeros([], (batch.data.kind(), batch.data.device()))?;
        self.parameters.iter().try_fold(zero, |sum, parameter| {
            Ok(sum.f_add(&(parameter.f_square()?.f_sum(None::<Kind>)? * 0.5))?)
        })
    }
}
