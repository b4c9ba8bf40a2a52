//! A model that equals its target: the noise of both gradients, sample by sample.

use crate::systems::Check;
use anyhow::Result;
use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::{ActNorm, Flow};
use maxlik_nn::Params;
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::density::{Estimator, ReverseKl};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{Seeds, host};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

/// Samples, each with a gradient of its own.
const SAMPLES: i64 = 4000;
/// Standard deviation and mean of the target.
const STD: f64 = 0.7;
const MEAN: f64 = 0.4;

/// Gradients `[N, 2]` by the shift and by the logarithm of the scale of `x = m + s z`.
fn gradients(seed: u64, estimator: Estimator) -> Result<Tensor> {
    let params = Params::new(seed, Kind::Double, Device::Cpu);
    let root = params.root();
    let layer = ActNorm::new(&root, &[1])?;
    let flow = Flow::new(Box::new(layer), Box::new(DiagonalNormal::standard(&root, &[1])))?;
    let parameters: [(&str, f64); 3] =
        [("mean", MEAN), ("log_std", STD.ln()), ("initialized", 1.0)];
    let values = params.named().into_iter().map(|(name, old)| {
        let new = parameters.iter().find(|(n, _)| *n == name).map_or(0.0, |(_, v)| *v);
        Ok((name, old.f_full_like(new)?))
    });
    params.load(&values.collect::<Result<Vec<_>>>()?)?;
    let one = Tensor::f_ones([1], DOUBLE_CPU)?;
    let target = NormalMixture::new(&Tensor::f_full([1, 1], MEAN, DOUBLE_CPU)?, &one, STD * STD)?;
    let objective = ReverseKl::new(Box::new(target), estimator);
    let named = params.trainable();
    let leaf = |name: &str| named.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor);
    let leaves: Vec<&Tensor> = ["mean", "log_std"].into_iter().filter_map(leaf).collect();
    Seeds::new(seed).stream("latents").seed_torch(0);
    let z = Tensor::f_randn([SAMPLES, 1], DOUBLE_CPU)?;
    let mut rows = Vec::new();
    for z in z.f_split(1, 0)? {
        let loss = objective.loss_at(&flow, &z, None)?.value;
        let found = grad(&[&loss], &[None], &leaves, Graph::Free)?;
        let each: Vec<Tensor> = found.into_iter().flatten().collect();
        rows.push(Tensor::f_cat(&each, 0)?);
    }
    Ok(Tensor::f_stack(&rows, 0)?)
}

pub(super) fn checks(seed: u64) -> Result<Vec<Check>> {
    let path = gradients(seed, Estimator::FastPath)?;
    let standard = gradients(seed, Estimator::Standard)?;
    let variance = host::to_vec(&standard.f_var_dim([0_i64].as_slice(), true, false)?)?;
    let off = |found: f64, exact: f64| (found / exact - 1.0).abs();
    let exact = 1.0 / (STD * STD);
    Ok(vec![
        Check::at_most(
            "model = target, largest path gradient of a sample",
            "at most 1e-10",
            host::scalar(&path.f_abs()?.f_max()?)?,
            1e-10,
        )
        .beside("root variance of the standard one, shift", variance[0].sqrt()),
        Check::at_most(
            "model = target, variance of the standard gradient by the shift, relative to 1/s^2, off by",
            "at most 0.15",
            off(variance[0], exact),
            0.15,
        )
        .beside("1/s^2", exact),
        Check::at_most(
            "model = target, variance of the standard gradient by the log scale, relative to 2, off by",
            "at most 0.15",
            off(variance[1], 2.0),
            0.15,
        ),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::gradients;
    use maxlik_objectives::density::Estimator;

    #[test]
    fn the_two_pass_gradient_vanishes_too() {
        let rows = gradients(3, Estimator::Path).unwrap();
        assert_eq!(rows.size()[1], 2);
        assert!(rows.abs().max().double_value(&[]) < 1e-10);
    }
}
