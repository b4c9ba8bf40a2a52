//! AdamW over all parameters of a model in one fused step.

use crate::custom::{Moments, Rates, adamw};
use crate::{Error, Result};
use tch::{Kind, Tensor};

/// The numbers of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Step size.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

/// AdamW's state (Loshchilov and Hutter 2019, "Decoupled weight decay regularization",
/// arXiv:1711.05101; with no weight decay it is Adam, Kingma and Ba 2015, arXiv:1412.6980).
#[derive(Debug)]
pub struct AdamW {
    params: Vec<Tensor>,
    means: Vec<Tensor>,
    squares: Vec<Tensor>,
    steps: Vec<Tensor>,
}

impl AdamW {
    /// A fresh state for these parameters, which it updates in place.
    ///
    /// # Errors
    /// [`Error::Torch`] where no memory is left.
    pub fn new(params: Vec<Tensor>) -> Result<Self> {
        let zeros =
            || params.iter().map(|p| Ok(p.f_detach()?.f_zeros_like()?)).collect::<Result<Vec<_>>>();
        let (means, squares) = (zeros()?, zeros()?);
        let steps = params
            .iter()
            .map(|p| Ok(Tensor::f_zeros([], (Kind::Float, p.device()))?))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { params, means, squares, steps })
    }

    /// One step with `gradients` in the parameters' order.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of gradients.
    pub fn step(&mut self, gradients: &[Tensor], step: &Step) -> Result<()> {
        if gradients.len() != self.params.len() {
            return Err(Error::Shape {
                what: "gradients".to_owned(),
                expected: format!("{} tensors", self.params.len()),
                got: format!("{} tensors", gradients.len()),
            });
        }
        if self.params.is_empty() {
            return Ok(());
        }
        let moments = Moments { means: &self.means, squares: &self.squares, steps: &self.steps };
        let rates = Rates {
            lr: step.lr,
            beta1: step.beta1,
            beta2: step.beta2,
            weight_decay: step.weight_decay,
            eps: step.eps,
        };
        adamw(&self.params, gradients, &moments, &rates)
    }

    /// The state's tensors with names, to be saved; loading copies into them in place.
    #[must_use]
    pub fn state(&self, names: &[String]) -> Vec<(String, Tensor)> {
        let kinds = [("mean", &self.means), ("square", &self.squares), ("step", &self.steps)];
        kinds
            .into_iter()
            .flat_map(|(kind, tensors)| {
                names
                    .iter()
                    .zip(tensors)
                    .map(move |(name, t)| (format!("{kind}.{name}"), t.shallow_clone()))
            })
            .collect()
    }
}
