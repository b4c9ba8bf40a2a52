//! A plain training loop, for experiments whose batches and losses are their own.

use anyhow::{Result, bail};
use maxlik_nn::Params;
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::{Error, Seeds, host};
use maxlik_train::{Ema, OptimConfig, Optimizer, global_norm};
use std::collections::BTreeMap;
use tch::Tensor;

/// Minimises `loss`, a function of the step, over all trainable parameters.
///
/// LibTorch's generator is seeded before each step, so that one seed gives one run. With averaging
/// (`optim.ema`), the averages are in the model afterwards. The model is in evaluation mode then.
///
/// # Errors
/// Those of `loss`, and for a loss that is not finite.
pub fn fit(
    params: &Params,
    optim: &OptimConfig,
    seed: u64,
    mut loss: impl FnMut(u64) -> Result<Tensor>,
) -> Result<()> {
    optim.check()?;
    let stream = Seeds::new(seed).stream("training");
    let mut optimizer = Optimizer::new(params, optim)?;
    let mut ema = (optim.ema > 0.0).then(|| Ema::new(params, optim.ema)).transpose()?;
    let named = params.trainable();
    let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
    params.set_training(true);
    for step in 0..optim.steps {
        stream.seed_torch(step);
        let value = loss(step)?;
        let found = grad(&[&value], &[None], &leaves, Graph::Free)?;
        let gradients = found.into_iter().zip(&leaves);
        let mut gradients = gradients
            .map(|(gradient, leaf)| Ok(gradient.map_or_else(|| leaf.f_zeros_like(), Ok)?))
            .collect::<Result<Vec<Tensor>, Error>>()?;
        let norm = host::scalar(&global_norm(&gradients)?)?;
        if !norm.is_finite() {
            bail!("the gradient of step {step} is not finite");
        }
        optimizer.step(step, &mut gradients, norm)?;
        if let Some(ema) = &mut ema {
            ema.update(step)?;
        }
    }
    params.set_training(false);
    if let Some(ema) = ema {
        let averages: BTreeMap<String, Tensor> = ema.state().into_iter().collect();
        let _no_grad = tch::no_grad_guard();
        for (name, mut tensor) in named {
            if let Some(average) = averages.get(&name) {
                tensor.f_copy_(average)?;
            }
        }
    }
    Ok(())
}
