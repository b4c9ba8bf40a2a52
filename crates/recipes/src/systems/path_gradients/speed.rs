//! What a step costs: loss and gradient of the reverse divergence.

use super::overfitting::{DIMS, affine, implicit, mixture};
use crate::systems::Check;
use anyhow::Result;
use maxlik_flows::FlowConfig;
use maxlik_nn::Params;
use maxlik_objectives::density::{Estimator, ReverseKl};
use maxlik_tensor::Seeds;
use maxlik_tensor::autograd::{Graph, grad};
use std::time::Instant;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

const BATCH: i64 = 250;
const ROUNDS: usize = 60;

/// Seconds of a step by each estimator: the fastest of several rounds that take turns.
fn times(seed: u64, config: &FlowConfig) -> Result<[f64; 3]> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let flow = config.build(&params.root(), DIMS, None, Vec::new())?;
    let named = params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
    let estimators = [Estimator::Standard, Estimator::Path, Estimator::FastPath];
    let mut objectives = Vec::new();
    for estimator in estimators {
        objectives.push(ReverseKl::new(Box::new(mixture()?), estimator));
    }
    Seeds::new(seed).stream("speed").seed_torch(0);
    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        for (objective, best) in objectives.iter().zip(&mut best) {
            let z = Tensor::f_randn([BATCH, DIMS], FLOAT_CPU)?;
            let start = Instant::now();
            let loss = objective.loss_at(&flow, &z, None)?.value;
            let _gradients = grad(&[&loss], &[None], &leaves, Graph::Free)?;
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}

pub(super) fn checks(seed: u64) -> Result<Vec<Check>> {
    let [standard, two, fast] = times(seed, &affine())?;
    let [plain, root, one] = times(seed, &implicit())?;
    Ok(vec![
        Check::at_most(
            "affine couplings, step time, one-pass path / standard",
            "at most 2.2",
            fast / standard,
            2.2,
        )
        .beside("two-pass path / standard", two / standard),
        Check::at_most(
            "implicit couplings, step time, one-pass path / two-pass path",
            "at most 1",
            one / root,
            1.0,
        )
        .beside("two-pass path / standard", root / plain),
        Check::at_most(
            "implicit couplings, step time, one-pass path / standard",
            "at most 2.2",
            one / plain,
            2.2,
        ),
    ])
}
