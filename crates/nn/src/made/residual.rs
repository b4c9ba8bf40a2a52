//! The masked residual network.

use super::steps::Pending;
use super::{MaskedLinear, MaskedNetwork, MaskedShape, Steps, counts, rows_by_rank};
use crate::network::join;
use crate::{Activation, Dropout, Linear, Network, ResidualConfig, Scope};
use maxlik_tensor::Result;
use tch::Tensor;

/// `x + W₂ a(W₁ a(x))`, gated by the context where there is one.
#[derive(Debug)]
struct Block {
    first: MaskedLinear,
    second: MaskedLinear,
    gate: Option<Linear>,
}

impl Block {
    /// The gate of every unit, `[B, hidden]`.
    fn gate(&self, context: Option<&Tensor>) -> Result<Option<Tensor>> {
        let (Some(gate), Some(context)) = (&self.gate, context) else { return Ok(None) };
        Ok(Some(gate.forward(context)?.f_sigmoid()?))
    }
}

/// A masked linear layer, masked residual blocks with pre-activation, and a masked linear layer: the
/// conditioner of autoregressive spline flows (Durkan et al. 2019, arXiv:1906.04032, appendix B; the
/// masks keep a unit's degree through a block, as Nash and Durkan 2019, arXiv:1904.05626, have it).
/// The context is appended to the input and also gates each block through a sigmoid.
#[derive(Debug)]
pub struct MaskedResidualNet {
    input: MaskedLinear,
    blocks: Vec<Block>,
    output: MaskedLinear,
    activation: Activation,
    dropout: Dropout,
    shape: MaskedShape,
    /// Units of each degree.
    counts: Vec<i64>,
    order: Vec<i64>,
    by_rank: Tensor,
}

impl MaskedResidualNet {
    /// A network whose blocks start near the identity.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] where the ranks are no permutation, and those of
    /// [`Scope::param`] and [`Dropout::new`].
    pub fn new(scope: &Scope<'_>, shape: &MaskedShape, config: &ResidualConfig) -> Result<Self> {
        let order = shape.order()?;
        let degrees = shape.hidden_degrees(config.hidden);
        let block = |i: usize| -> Result<Block> {
            let scope = scope.sub("block").sub(i);
            let layer =
                |name: &str, bound| MaskedLinear::new(&scope.sub(name), &degrees, &degrees, bound);
            let gate = (shape.context > 0)
                .then(|| Linear::new(&scope.sub("gate"), shape.context, config.hidden))
                .transpose()?;
            Ok(Block { first: layer("first", None)?, second: layer("second", Some(1e-3))?, gate })
        };
        let input = MaskedLinear::new(&scope.sub("input"), &shape.input_degrees(), &degrees, None)?;
        let outputs = shape.output_degrees();
        Ok(Self {
            input,
            blocks: (0..config.blocks).map(block).collect::<Result<_>>()?,
            output: MaskedLinear::new(&scope.sub("output"), &degrees, &outputs, None)?,
            activation: config.activation,
            dropout: Dropout::new(scope, config.dropout)?,
            counts: counts(&degrees, shape.dims()),
            by_rank: rows_by_rank(shape, scope.device())?,
            shape: shape.clone(),
            order,
        })
    }
}

impl Network for MaskedResidualNet {
    fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut x = self.input.forward(&join(x, context)?)?;
        for block in &self.blocks {
            let inner = block.first.forward(&self.activation.apply(&x)?)?;
            let inner = self.dropout.forward(&self.activation.apply(&inner)?)?;
            let mut inner = block.second.forward(&inner)?;
            if let Some(gate) = block.gate(context)? {
                inner = inner.f_mul(&gate)?;
            }
            x = x.f_add(&inner)?;
        }
        self.output.forward(&x)
    }
}

impl MaskedNetwork for MaskedResidualNet {
    fn begin(&self, batch: i64, context: Option<&Tensor>) -> Result<Box<dyn Steps + '_>> {
        let mut input = Pending::new(&self.input, batch)?;
        if let Some(context) = context {
            input.push(context, self.shape.dims())?;
        }
        let block = |block: &Block| -> Result<PendingBlock> {
            Ok(PendingBlock {
                first: Pending::new(&block.first, batch)?,
                second: Pending::new(&block.second, batch)?,
                gate: block.gate(context)?,
            })
        };
        let rows = |t: &Tensor| t.f_index_select(0, &self.by_rank);
        Ok(Box::new(ResidualSteps {
            net: self,
            input,
            blocks: self.blocks.iter().map(block).collect::<Result<_>>()?,
            output: Pending::of(rows(self.output.weight())?, &rows(self.output.bias())?, batch)?,
            rank: 0,
            seen: 0,
        }))
    }
}

#[derive(Debug)]
struct PendingBlock {
    first: Pending,
    second: Pending,
    gate: Option<Tensor>,
}

#[derive(Debug)]
struct ResidualSteps<'a> {
    net: &'a MaskedResidualNet,
    input: Pending,
    blocks: Vec<PendingBlock>,
    output: Pending,
    rank: usize,
    /// Hidden units that are complete.
    seen: i64,
}

impl Steps for ResidualSteps<'_> {
    fn next(&mut self, previous: Option<&Tensor>) -> Result<Tensor> {
        let net = self.net;
        if let Some(previous) = previous {
            self.input.push(&previous.f_unsqueeze(1)?, net.order[self.rank - 1])?;
        }
        let count = net.counts[self.rank];
        let mut x = self.input.take(count)?;
        for block in &mut self.blocks {
            block.first.push(&net.activation.apply(&x)?, self.seen)?;
            let inner = net.activation.apply(&block.first.take(count)?)?;
            block.second.push(&net.dropout.forward(&inner)?, self.seen)?;
            let mut inner = block.second.take(count)?;
            if let Some(gate) = &block.gate {
                inner = inner.f_mul(&gate.f_narrow(1, self.seen, count)?)?;
            }
            x = x.f_add(&inner)?;
        }
        self.output.push(&x, self.seen)?;
        self.seen += count;
        self.rank += 1;
        self.output.take(net.shape.parameters)
    }
}
