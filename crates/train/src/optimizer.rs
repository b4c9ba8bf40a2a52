//! AdamW over a model's parameters, with clipping by the norm of all gradients together.

use crate::OptimConfig;
use maxlik_nn::Params;
use maxlik_tensor::{Result, adamw};
use tch::{Kind, Tensor};

/// AdamW (Adam without weight decay) over the trainable parameters of a store.
#[derive(Debug)]
pub struct Optimizer {
    names: Vec<String>,
    adamw: adamw::AdamW,
    config: OptimConfig,
}

impl Optimizer {
    /// A fresh optimizer for all trainable parameters of `params`, in the order of their names.
    ///
    /// # Errors
    /// LibTorch's, where no memory is left.
    pub fn new(params: &Params, config: &OptimConfig) -> Result<Self> {
        let (names, tensors) = params.trainable().into_iter().unzip();
        Ok(Self { names, adamw: adamw::AdamW::new(tensors)?, config: config.clone() })
    }

    /// The `n`-th step (from 0), at that step's learning rate, which is returned. The gradients,
    /// whose [`global_norm`] is `norm`, are scaled to the configuration's `clip` if they are above it.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Shape`] for another number of gradients than parameters.
    pub fn step(&mut self, n: u64, gradients: &mut [Tensor], norm: f64) -> Result<f64> {
        clip(gradients, norm, self.config.clip)?;
        let lr = self.config.rate(n);
        let [beta1, beta2] = self.config.betas;
        let step = adamw::Step {
            lr,
            beta1,
            beta2,
            weight_decay: self.config.weight_decay,
            eps: self.config.eps,
        };
        let _no_grad = tch::no_grad_guard();
        self.adamw.step(gradients, &step)?;
        Ok(lr)
    }

    /// The state's tensors under names; values copied into them change the state.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.adamw.state(&self.names)
    }
}

/// The Euclidean norm of all gradients together, as a scalar on their device: `√Σᵢ ‖gᵢ‖²`.
///
/// It is finite only if every gradient is (up to overflow of the squares): one number tells
/// whether a step can be taken.
///
/// # Errors
/// LibTorch's.
pub fn global_norm(gradients: &[Tensor]) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let norms = gradients
        .iter()
        .map(|g| Ok(g.f_norm()?.f_to_kind(Kind::Double)?))
        .collect::<Result<Vec<_>>>()?;
    if norms.is_empty() {
        return Ok(Tensor::f_from_slice(&[0.0_f64])?.f_squeeze()?);
    }
    Ok(Tensor::f_stack(&norms, 0)?.f_norm()?)
}

/// Scales the gradients in place by `most / norm` where `norm`, their [`global_norm`], is above
/// `most` (Pascanu, Mikolov and Bengio 2013, "On the difficulty of training recurrent neural
/// networks", arXiv:1211.5063, algorithm 1).
///
/// # Errors
/// LibTorch's.
pub fn clip(gradients: &mut [Tensor], norm: f64, most: f64) -> Result<()> {
    if norm <= most {
        return Ok(());
    }
    let _no_grad = tch::no_grad_guard();
    for gradient in gradients {
        let _same = gradient.f_mul_scalar_(most / norm)?;
    }
    Ok(())
}
