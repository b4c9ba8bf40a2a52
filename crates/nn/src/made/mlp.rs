//! The masked multi-layer perceptron.

use super::steps::Pending;
use super::{MaskedLinear, MaskedNetwork, MaskedShape, Steps, counts, rows_by_rank};
use crate::network::join;
use crate::{Activation, Dropout, MlpConfig, Network, Scope};
use maxlik_tensor::masked::{self, Masked, Nonlinearity};
use maxlik_tensor::{Error, Result, perceptron};
use tch::Tensor;

/// Masked linear layers with a nonlinearity between them (Germain et al. 2015, arXiv:1502.03509); the
/// context is appended to the input, and every unit sees it.
#[derive(Debug)]
pub struct MaskedMlp {
    layers: Vec<MaskedLinear>,
    activation: Activation,
    dropout: Dropout,
    shape: MaskedShape,
    /// Units of each degree, for each hidden layer.
    counts: Vec<Vec<i64>>,
    order: Vec<i64>,
    by_rank: Tensor,
}

impl MaskedMlp {
    /// A network with the parameters `0.weight`, `0.bias`, `1.weight`, …
    ///
    /// # Errors
    /// [`Error::Config`] where the ranks are no permutation, and those of [`Scope::param`] and
    /// [`Dropout::new`].
    pub fn new(scope: &Scope<'_>, shape: &MaskedShape, config: &MlpConfig) -> Result<Self> {
        let order = shape.order()?;
        let mut below = shape.input_degrees();
        let mut layers = Vec::with_capacity(config.hidden.len() + 1);
        let mut per_degree = Vec::with_capacity(config.hidden.len());
        for (i, &width) in config.hidden.iter().enumerate() {
            let degrees = shape.hidden_degrees(width);
            layers.push(MaskedLinear::new(&scope.sub(i), &below, &degrees, None)?);
            per_degree.push(counts(&degrees, shape.dims()));
            below = degrees;
        }
        // Without a hidden layer the inputs are seen directly: an output sees ranks below its own.
        let last = scope.sub(config.hidden.len());
        layers.push(MaskedLinear::new(&last, &below, &shape.output_degrees(), None)?);
        Ok(Self {
            layers,
            activation: config.activation,
            dropout: Dropout::new(scope, config.dropout)?,
            by_rank: rows_by_rank(shape, scope.device())?,
            shape: shape.clone(),
            counts: per_degree,
            order,
        })
    }

    /// The layers, the last one without a nonlinearity after it.
    #[must_use]
    pub fn layers(&self) -> &[MaskedLinear] {
        &self.layers
    }

    /// The nonlinearity between layers.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// What the network computes.
    #[must_use]
    pub fn shape(&self) -> &MaskedShape {
        &self.shape
    }
}

impl Network for MaskedMlp {
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut x = join(x, context)?;
        if let Some(between) = self.activation.for_perceptron()
            && !self.dropout.is_active()
        {
            let layers: Vec<perceptron::Layer<'_>> =
                self.layers.iter().map(MaskedLinear::for_perceptron).collect();
            return perceptron::run(&x, &layers, between);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = self.dropout.forward(&self.activation.apply(&x)?)?;
            }
            x = layer.forward(&x)?;
        }
        Ok(x)
    }
}

impl MaskedNetwork for MaskedMlp {
    fn begin(&self, batch: i64, context: Option<&Tensor>) -> Result<Box<dyn Steps + '_>> {
        let mut pending = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            pending.push(if i + 1 == self.layers.len() {
                let rows = |t: &Tensor| t.f_index_select(0, &self.by_rank);
                Pending::of(rows(layer.weight())?, &rows(layer.bias())?, batch)?
            } else {
                Pending::new(layer, batch)?
            });
        }
        if let (Some(first), Some(context)) = (pending.first_mut(), context) {
            first.push(context, self.shape.dims())?;
        }
        Ok(Box::new(MlpSteps { net: self, pending, rank: 0, seen: vec![0; self.counts.len()] }))
    }

    fn fused(&self) -> Result<Option<Masked>> {
        let nonlinearity = match self.activation {
            Activation::Relu => Nonlinearity::Relu,
            Activation::LeakyRelu => Nonlinearity::LeakyRelu,
            Activation::Elu => Nonlinearity::Elu,
            Activation::Silu => Nonlinearity::Silu,
            Activation::Selu | Activation::Gelu | Activation::Tanh | Activation::Softplus => {
                return Ok(None);
            }
        };
        if self.dropout.is_active() {
            return Ok(None);
        }
        // The kernel takes the context first, and coordinates and outputs by rank.
        let dims = self.shape.dims();
        let columns: Vec<i64> =
            (dims..dims + self.shape.context).chain(self.order.iter().copied()).collect();
        let columns = Tensor::f_from_slice(&columns)?.f_to_device(self.by_rank.device())?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let (mut weight, mut bias) =
                (layer.weight().shallow_clone(), layer.bias().shallow_clone());
            if i == 0 {
                weight = weight.f_index_select(1, &columns)?;
            }
            if i + 1 == self.layers.len() {
                weight = weight.f_index_select(0, &self.by_rank)?;
                bias = bias.f_index_select(0, &self.by_rank)?;
            }
            layers.push(masked::Layer { weight, bias });
        }
        let counts = self.counts.iter().map(|c| c.iter().map(|&n| n.max(0) as usize).collect());
        Ok(Some(Masked { layers, counts: counts.collect(), nonlinearity }))
    }
}

#[derive(Debug)]
struct MlpSteps<'a> {
    net: &'a MaskedMlp,
    pending: Vec<Pending>,
    rank: usize,
    /// Units of each hidden layer that are complete.
    seen: Vec<i64>,
}

impl Steps for MlpSteps<'_> {
    fn next(&mut self, previous: Option<&Tensor>) -> Result<Tensor> {
        let Some((last, hidden)) = self.pending.split_last_mut() else {
            return Err(Error::unsupported("a network without layers"));
        };
        if let Some(previous) = previous {
            let column = self.net.order[self.rank - 1];
            let first = hidden.first_mut().unwrap_or(last);
            first.push(&previous.f_unsqueeze(1)?, column)?;
        }
        for i in 0..hidden.len() {
            let count = self.net.counts[i][self.rank];
            let new = self.net.activation.apply(&hidden[i].take(count)?)?;
            let new = self.net.dropout.forward(&new)?;
            let next = hidden.get_mut(i + 1).unwrap_or(last);
            next.push(&new, self.seen[i])?;
            self.seen[i] += count;
        }
        self.rank += 1;
        last.take(self.net.shape.parameters)
    }
}
