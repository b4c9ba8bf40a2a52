//! A continuous flow in the plane: the noise of the gradients where it equals its target, and what a
//! step costs.
//!
//! The times are of one network, taken twice: solved on tensors with derivatives by autograd, as any
//! field is, and with what `maxlik-ode` has for networks with two hidden layers: kernels for points with
//! divergences and their gradients (all of the standard estimator), and a closed form on tensors for
//! scores (the one solve). Kernels for scores there are none, so with such a network the standard gradient is
//! the cheaper one.

use crate::systems::Check;
use anyhow::Result;
use maxlik_model::PathDensity;
use maxlik_nn::Params;
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::density::{Estimator, ReverseKl};
use maxlik_objectives::score::ScoreOf;
use maxlik_ode::{Cnf, Gaussian, MlpField, MlpFieldConfig, Solver, tableau};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{Seeds, host};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const DIMS: i64 = 2;
const WIDTH: i64 = 64;
const BATCH: i64 = 256;
const STEPS: usize = 8;
/// Gradients whose variance is taken, and rounds of which the fastest counts.
const GRADIENTS: usize = 24;
const ROUNDS: usize = 30;

/// The flow of a perceptron by RK4, with weights larger than they start, so that it is not near the
/// identity; `kernels` says whether the flow knows the network.
fn flow(params: &Params, kind: Kind, kernels: bool) -> Result<Cnf> {
    let config = MlpFieldConfig { hidden: vec![WIDTH, WIDTH], ..MlpFieldConfig::default() };
    let field = MlpField::new(&params.root(), DIMS, 0, &config)?;
    {
        let _no_grad = tch::no_grad_guard();
        for (_, mut tensor) in params.trainable() {
            let _ = tensor.f_mul_scalar_(1.5)?;
        }
    }
    let base = Gaussian::standard(&[DIMS], kind, Device::Cpu)?;
    let solver = Solver::fixed(tableau::RK4, STEPS)?;
    Ok(if kernels { Cnf::with_drift(field, base, solver) } else { Cnf::new(field, base, solver) })
}

/// A flow with its parameters.
struct Subject {
    flow: Cnf,
    params: Params,
    kind: Kind,
}

impl Subject {
    fn new(seed: u64, kind: Kind, kernels: bool) -> Result<Self> {
        let params = Params::new(seed, kind, Device::Cpu);
        Ok(Self { flow: flow(&params, kind, kernels)?, params, kind })
    }

    /// The gradient of the loss at fresh latents, as one vector.
    fn gradient(&self, objective: &ReverseKl) -> Result<Tensor> {
        self.gradient_at(objective, &Tensor::f_randn([BATCH, DIMS], (self.kind, Device::Cpu))?)
    }

    fn gradient_at(&self, objective: &ReverseKl, z: &Tensor) -> Result<Tensor> {
        let named = self.params.trainable();
        let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
        let loss = objective.loss_at(&self.flow as &dyn PathDensity, z, None)?.value;
        let found = grad(&[&loss], &[None], &leaves, Graph::Free)?;
        let flat = found.into_iter().flatten().map(|g| g.f_reshape([-1]));
        Ok(Tensor::f_cat(&flat.collect::<Result<Vec<_>, _>>()?, 0)?)
    }
}

/// The summed variance of the gradient where the target is the flow itself.
fn variance(seed: u64, estimator: Estimator) -> Result<f64> {
    let subject = Subject::new(seed, Kind::Double, true)?;
    let target = Subject::new(seed, Kind::Double, true)?.flow;
    let objective = ReverseKl::new(Box::new(ScoreOf(target)), estimator);
    Seeds::new(seed).stream("latents").seed_torch(1);
    let rows = (0..GRADIENTS).map(|_| subject.gradient(&objective)).collect::<Result<Vec<_>>>()?;
    let each = Tensor::f_stack(&rows, 0)?.f_var_dim([0_i64].as_slice(), true, false)?;
    Ok(host::scalar(&each.f_sum(Kind::Double)?)?)
}

/// Seconds of a step by each estimator, as [`super::speed`] takes them.
fn times(seed: u64, kernels: bool) -> Result<[f64; 3]> {
    let subject = Subject::new(seed, Kind::Float, kernels)?;
    let mut objectives = Vec::new();
    for estimator in [Estimator::Standard, Estimator::Path, Estimator::FastPath] {
        let target = NormalMixture::hypercube(DIMS, 0.5)?;
        objectives.push(ReverseKl::new(Box::new(target), estimator));
    }
    Seeds::new(seed).stream("speed").seed_torch(1);
    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        for (objective, best) in objectives.iter().zip(&mut best) {
            let start = Instant::now();
            let _gradient = subject.gradient(objective)?;
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}

pub(super) fn checks(seed: u64) -> Result<Vec<Check>> {
    let (quiet, noisy) =
        (variance(seed, Estimator::FastPath)?, variance(seed, Estimator::Standard)?);
    let [standard, two, one] = times(seed, false)?;
    let [kernels, _, closed] = times(seed, true)?;
    Ok(vec![
        Check::at_most(
            "continuous flow = target, gradient variance, one-solve path / standard",
            "at most 1e-6",
            quiet / noisy,
            1e-6,
        )
        .beside("variance of the standard one", noisy),
        Check::at_most(
            "continuous flow by autograd, step time, one-solve path / standard",
            "at most 1",
            one / standard,
            1.0,
        )
        .beside("two-solve path / standard", two / standard),
        Check::at_most(
            "continuous flow, step time, one-solve path by closed forms / standard by autograd",
            "at most 1",
            closed / standard,
            1.0,
        )
        .beside("standard by kernels / standard by autograd", kernels / standard),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::Subject;
    use maxlik_objectives::density::energy::NormalMixture;
    use maxlik_objectives::density::{Estimator, ReverseKl};
    use tch::{Device, Kind, Tensor};

    /// On tensors and by kernels the steps are the same, and so are the gradients.
    #[test]
    fn both_solvers_give_the_same_gradient() {
        // Drawn once: tests in other threads share the generator.
        let z = Tensor::randn([64, 2], (Kind::Double, Device::Cpu));
        for estimator in [Estimator::Standard, Estimator::Path, Estimator::FastPath] {
            let gradient = |kernels: bool| {
                let target = Box::new(NormalMixture::hypercube(2, 0.5).unwrap());
                let objective = ReverseKl::new(target, estimator);
                let subject = Subject::new(0, Kind::Double, kernels).unwrap();
                subject.gradient_at(&objective, &z).unwrap()
            };
            let (a, b) = (gradient(true), gradient(false));
            assert!((a - b).abs().max().double_value(&[]) < 1e-9, "{estimator:?}");
        }
    }
}
