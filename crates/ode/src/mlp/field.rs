//! A perceptron as a velocity field.

use super::TwoLayer;
use crate::time::column;
use crate::trace::{Autograd, Drift, ScoreRate, Traced, probe_divergence};
use maxlik_model::VectorField;
use maxlik_nn::{Activation, Init, Scope};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Shape of an [`MlpField`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlpFieldConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<i64>,
    /// Nonlinearity between layers.
    pub activation: Activation,
}

impl Default for MlpFieldConfig {
    /// Two layers of 64 units with `tanh`.
    fn default() -> Self {
        Self { hidden: vec![64, 64], activation: Activation::Tanh }
    }
}

/// `v(t, x)` from linear layers with a nonlinearity between them, on `[x, t]` and perhaps a context;
/// the time enters the first layer only.
///
/// With two hidden layers and `tanh` its trace has a closed form (see [`TwoLayer`]), and a
/// [`crate::Cnf`] of it is solved by kernels that keep the whole solve out of LibTorch: on the CPU,
/// in single or double precision, with an explicit Runge–Kutta method with an embedded error
/// estimate, tolerances that are the same for all dimensions, and no regularisers.
#[derive(Debug)]
pub struct MlpField {
    event: i64,
    first: Tensor,
    time: Tensor,
    context: Option<Tensor>,
    bias: Tensor,
    /// Weights and biases of the further layers.
    rest: Vec<(Tensor, Tensor)>,
    activation: Activation,
}

impl MlpField {
    /// A field on events of `d` numbers with a context of `context` numbers (0: none), whose
    /// parameters start as PyTorch's do.
    ///
    /// # Errors
    /// [`Error::Config`] for no hidden layers, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, d: i64, context: i64, config: &MlpFieldConfig) -> Result<Self> {
        let Some((&width, more)) = config.hidden.split_first() else {
            return Err(Error::config("hidden", "expected at least one hidden layer"));
        };
        let bound = Init::Uniform(1.0 / ((d + 1 + context).max(1) as f64).sqrt());
        let layer = scope.sub("first");
        let first = layer.param("weight", &[width, d], bound)?;
        let time = layer.param("time", &[width], bound)?;
        let on_context = match context {
            0 => None,
            n => Some(layer.param("context", &[width, n], bound)?),
        };
        let bias = layer.param("bias", &[width], bound)?;
        let (mut rest, mut width) = (Vec::new(), width);
        for (i, &next) in more.iter().chain(std::iter::once(&d)).enumerate() {
            let layer = scope.sub(i);
            let bound = Init::Uniform(1.0 / (width.max(1) as f64).sqrt());
            let weight = layer.param("weight", &[next, width], bound)?;
            rest.push((weight, layer.param("bias", &[next], bound)?));
            width = next;
        }
        let activation = config.activation;
        Ok(Self { event: d, first, time, context: on_context, bias, rest, activation })
    }

    /// The same field, with the same parameters.
    #[must_use]
    pub fn share(&self) -> Self {
        let pair = |(a, b): &(Tensor, Tensor)| (a.shallow_clone(), b.shallow_clone());
        Self {
            event: self.event,
            first: self.first.shallow_clone(),
            time: self.time.shallow_clone(),
            context: self.context.as_ref().map(Tensor::shallow_clone),
            bias: self.bias.shallow_clone(),
            rest: self.rest.iter().map(pair).collect(),
            activation: self.activation,
        }
    }

    /// `b₁` with the context's part: `[H₁]`, or `[b, H₁]`.
    fn first_bias(&self, context: Option<&Tensor>) -> Result<Tensor> {
        match (&self.context, context) {
            (Some(weight), Some(context)) => Ok(context.f_linear(weight, Some(&self.bias))?),
            _ => Ok(self.bias.shallow_clone()),
        }
    }
}

impl VectorField for MlpField {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let time = column(t, x)?.f_mul(&self.time)?.f_add(&self.first_bias(context)?)?;
        let mut h = time.f_addmm(x, &self.first.f_transpose(0, 1)?)?;
        for (weight, bias) in &self.rest {
            h = self.activation.apply(&h)?.f_linear(weight, Some(bias))?;
        }
        Ok(h)
    }
}

impl Drift for MlpField {
    fn exact(
        &self,
        t: &Tensor,
        x: &Tensor,
        context: Option<&Tensor>,
        frobenius: bool,
    ) -> Result<Traced> {
        match self.two_layer(context)? {
            Some(network) if !frobenius => network.traced(t, x, &network.bilinear()?, None),
            _ => {
                let basis = crate::trace::basis(x)?;
                probe_divergence(&|x| self.velocity(t, x, context), x, &basis, frobenius)
            }
        }
    }

    fn score_rate(
        &self,
        t: &Tensor,
        x: &Tensor,
        context: Option<&Tensor>,
        probe: Option<&Tensor>,
        score: &Tensor,
    ) -> Result<ScoreRate> {
        match self.two_layer(context)? {
            Some(network) if probe.is_none() => {
                let c = {
                    let _no_grad = tch::no_grad_guard();
                    network.bilinear()?
                };
                network.score_rate(t, x, &c, score)
            }
            _ => Autograd(self.share()).score_rate(t, x, context, probe, score),
        }
    }

    fn two_layer(&self, context: Option<&Tensor>) -> Result<Option<TwoLayer>> {
        let [(w2, b2), (w3, b3)] = self.rest.as_slice() else { return Ok(None) };
        if self.activation != Activation::Tanh || self.event == 0 {
            return Ok(None);
        }
        let clone = Tensor::shallow_clone;
        Ok(Some(TwoLayer {
            w1: clone(&self.first),
            wt: clone(&self.time),
            b1: self.first_bias(context)?,
            w2: clone(w2),
            b2: clone(b2),
            w3: clone(w3),
            b3: clone(b3),
        }))
    }
}
