//! Rectified perceptrons, dense or masked, as one recorded op: one node in the graph instead of one
//! for each product, sum and rectifier, rectifiers in place, and for masked layers only the part of
//! each product that the mask leaves.

use crate::custom::{Forward, FusedOp, apply};
use crate::{Error, Result};
use tch::{Kind, Tensor};

/// A mask of zeros and ones whose rows each read a prefix of the inputs, cut into blocks of rows that
/// read about the same: products with it cost little more than the ones in it.
#[derive(Debug)]
pub struct Staircase {
    mask: Tensor,
    blocks: Vec<Block>,
}

/// Rows `first..first + rows`, which read the first `columns` inputs at most.
#[derive(Debug, Clone, Copy)]
struct Block {
    first: i64,
    rows: i64,
    columns: i64,
}

/// Rows that make a block worth a product of its own.
const ROWS: i64 = 64;
/// Most blocks of a mask.
const BLOCKS: i64 = 4;

impl Staircase {
    /// The mask `[outputs, inputs]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a tensor that is no matrix.
    pub fn new(mask: &Tensor) -> Result<Self> {
        let &[outputs, inputs] = mask.size().as_slice() else {
            return Err(Error::shape("mask", "[outputs, inputs]", &mask.size()));
        };
        let count = (outputs / ROWS).clamp(1, BLOCKS);
        let values = crate::host::to_vec(mask)?;
        let width = inputs.max(0) as usize;
        let extent = |row: i64| {
            let from = row.max(0) as usize * width;
            values[from..from + width].iter().rposition(|&m| m != 0.0).map_or(0, |last| last + 1)
        };
        let blocks = (0..count)
            .map(|i| {
                let (first, end) = (i * outputs / count, (i + 1) * outputs / count);
                let columns = (first..end).map(extent).max().unwrap_or_default() as i64;
                Block { first, rows: end - first, columns }
            })
            .collect();
        Ok(Self { mask: mask.shallow_clone(), blocks })
    }

    /// The mask.
    pub fn mask(&self) -> &Tensor {
        &self.mask
    }

    fn share(&self) -> Self {
        Self { mask: self.mask.shallow_clone(), blocks: self.blocks.clone() }
    }
}

/// One layer: `x (W ∘ M)ᵀ + b`, or `x Wᵀ + b` without a mask.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// `[outputs, inputs]`.
    pub weight: &'a Tensor,
    /// `[outputs]`.
    pub bias: &'a Tensor,
    /// The mask, if any.
    pub mask: Option<&'a Staircase>,
}

/// The layers one after another with `max(·, 0)` between them: `[B, inputs] → [B, outputs]`.
///
/// # Errors
/// [`Error::Config`] for no layers, [`Error::Shape`] for tensors that do not fit each other.
pub fn rectified(x: &Tensor, layers: &[Layer<'_>]) -> Result<Tensor> {
    if layers.is_empty() {
        return Err(Error::config("layers", "expected at least one layer"));
    }
    let &[_, mut width] = x.size().as_slice() else {
        return Err(Error::shape("x", "[B, inputs]", &x.size()));
    };
    let mut inputs = vec![x];
    let mut masks = Vec::with_capacity(layers.len());
    for layer in layers {
        let outputs = layer.bias.size().first().copied().unwrap_or_default();
        crate::check::shape("weight", layer.weight, &[outputs, width])?;
        if let Some(mask) = layer.mask {
            crate::check::shape("mask", &mask.mask, &[outputs, width])?;
        }
        inputs.extend([layer.weight, layer.bias]);
        masks.push(layer.mask.map(Staircase::share));
        width = outputs;
    }
    let mut outputs = apply(Op { masks }, &inputs)?;
    outputs.pop().ok_or_else(|| Error::unsupported("a perceptron without its output"))
}

#[derive(Debug)]
struct Op {
    masks: Vec<Option<Staircase>>,
}

fn masked(weight: &Tensor, mask: Option<&Staircase>) -> Result<Tensor> {
    match mask {
        Some(mask) => Ok(weight.f_mul(&mask.mask)?),
        None => Ok(weight.shallow_clone()),
    }
}

/// `x Wᵀ + b` with the weight already masked.
fn product(x: &Tensor, weight: &Tensor, bias: &Tensor, mask: Option<&Staircase>) -> Result<Tensor> {
    let blocks = match mask {
        Some(mask) if mask.blocks.len() > 1 => &mask.blocks,
        _ => return Ok(x.f_linear(weight, Some(bias))?),
    };
    let options = (x.kind(), x.device());
    let out = Tensor::f_empty([x.size()[0], bias.size()[0]], options)?;
    for block in blocks {
        let part = out.f_narrow(1, block.first, block.rows)?;
        let w = weight.f_narrow(0, block.first, block.rows)?.f_narrow(1, 0, block.columns)?;
        let h = x.f_narrow(1, 0, block.columns)?;
        let b = bias.f_narrow(0, block.first, block.rows)?;
        let _part = b.f_addmm_out(&part, &h, &w.f_transpose(0, 1)?)?;
    }
    Ok(out)
}

/// `gᵀ h` inside the mask.
fn weight_gradient(g: &Tensor, h: &Tensor, mask: Option<&Staircase>) -> Result<Tensor> {
    let g = g.f_transpose(0, 1)?;
    let Some(mask) = mask else { return Ok(g.f_mm(h)?) };
    if mask.blocks.len() <= 1 {
        return Ok(g.f_mm(h)?.f_mul_(&mask.mask)?);
    }
    let mut out = Tensor::f_zeros(mask.mask.size(), (h.kind(), h.device()))?;
    for block in &mask.blocks {
        let part = out.f_narrow(0, block.first, block.rows)?.f_narrow(1, 0, block.columns)?;
        let g = g.f_narrow(0, block.first, block.rows)?;
        let _part = g.f_mm_out(&part, &h.f_narrow(1, 0, block.columns)?)?;
    }
    Ok(out.f_mul_(&mask.mask)?)
}

/// `g W` with the weight already masked.
fn input_gradient(g: &Tensor, weight: &Tensor, mask: Option<&Staircase>) -> Result<Tensor> {
    let blocks = match mask {
        Some(mask) if mask.blocks.len() > 1 => &mask.blocks,
        _ => return Ok(g.f_mm(weight)?),
    };
    let out = Tensor::f_zeros([g.size()[0], weight.size()[1]], (g.kind(), g.device()))?;
    for block in blocks {
        let mut part = out.f_narrow(1, 0, block.columns)?;
        let g = g.f_narrow(1, block.first, block.rows)?;
        let w = weight.f_narrow(0, block.first, block.rows)?.f_narrow(1, 0, block.columns)?;
        let _part = part.f_addmm_(&g, &w)?;
    }
    Ok(out)
}

impl Op {
    fn mask(&self, layer: usize) -> Option<&Staircase> {
        self.masks.get(layer).and_then(Option::as_ref)
    }
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let Some((x, parameters)) = inputs.split_first() else {
            return Err(Error::unsupported("a perceptron without input"));
        };
        let last = (parameters.len() / 2).saturating_sub(1);
        let mut h = x.shallow_clone();
        // What backward wants again: for each layer its masked weight, and its output if hidden.
        let mut saved = Vec::with_capacity(parameters.len());
        for (i, pair) in parameters.chunks_exact(2).enumerate() {
            let weight = masked(&pair[0], self.mask(i))?;
            h = product(&h, &weight, &pair[1], self.mask(i))?;
            saved.push(weight);
            if i < last {
                h = h.f_relu_()?;
                saved.push(h.shallow_clone());
            }
        }
        Ok(Forward { outputs: vec![h], saved })
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let (Some(x), Some(grad)) = (inputs.first(), grads.first()) else {
            return Err(Error::unsupported("a perceptron's gradient of other inputs"));
        };
        let mut found: Vec<Option<Tensor>> = inputs.iter().map(|_| None).collect();
        let mut g = grad.f_contiguous()?;
        for i in (0..self.masks.len()).rev() {
            let (mask, weight) = (self.mask(i), &saved[2 * i]);
            let h = if i == 0 { x } else { &saved[2 * i - 1] };
            found[2 * i + 1] = Some(weight_gradient(&g, h, mask)?);
            found[2 * i + 2] =
                Some(g.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>)?);
            if i > 0 {
                g = h.f_threshold_backward(&input_gradient(&g, weight, mask)?, 0.0)?;
            } else if x.requires_grad() {
                found[0] = Some(input_gradient(&g, weight, mask)?);
            }
        }
        Ok(found)
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let Some((x, parameters)) = inputs.split_first() else {
            return Err(Error::unsupported("a perceptron without input"));
        };
        let mut h = x.shallow_clone();
        for (i, pair) in parameters.chunks_exact(2).enumerate() {
            if i > 0 {
                h = h.f_relu()?;
            }
            h = h.f_linear(&masked(&pair[0], self.mask(i))?, Some(&pair[1]))?;
        }
        Ok(vec![h])
    }
}
