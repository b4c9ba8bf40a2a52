//! Perceptrons, dense or masked, as one recorded op: one node in the graph instead of one for each
//! product, sum and nonlinearity, rectifiers in place, and for masked layers only the part of each
//! product that the mask leaves.

use crate::custom::{Forward, FusedOp, apply, parallel};
use crate::gelu::Gelu;
use crate::{Error, Result};
use std::sync::{Mutex, PoisonError};
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

/// What stands between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// `max(x, 0)`.
    Rectifier,
    /// `x Φ(x)`.
    Gelu(Gelu),
}

impl Between {
    /// The layer's product becomes the next one's input. What is kept of it is `product`: a rectifier
    /// works in place, a GELU's argument is wanted again by its derivative.
    fn apply(self, mut product: Tensor) -> Result<Tensor> {
        match self {
            Self::Rectifier => Ok(product.f_relu_()?),
            Self::Gelu(gelu) => gelu.value(&product),
        }
    }

    /// The next layer's input once more, from what was kept.
    fn again(self, kept: Tensor) -> Result<Tensor> {
        match self {
            Self::Rectifier => Ok(kept),
            Self::Gelu(gelu) => gelu.value(&kept),
        }
    }

    /// The cotangent of the product, from that of the next layer's input, whose tensor it may use.
    fn gradient(self, kept: &Tensor, grad: &Tensor) -> Result<Tensor> {
        match self {
            Self::Rectifier => Ok(kept.f_threshold_backward_grad_input(grad, grad, 0.0)?),
            Self::Gelu(gelu) => gelu.gradient(kept, grad),
        }
    }
}

/// The layers one after another with `max(·, 0)` between them: `[B, inputs] → [B, outputs]`.
///
/// # Errors
/// [`Error::Config`] for no layers, [`Error::Shape`] for tensors that do not fit each other.
pub fn rectified(x: &Tensor, layers: &[Layer<'_>]) -> Result<Tensor> {
    run(x, layers, Between::Rectifier)
}

/// The layers one after another: `[B, inputs] → [B, outputs]`.
///
/// # Errors
/// As [`rectified`].
pub fn run(x: &Tensor, layers: &[Layer<'_>], between: Between) -> Result<Tensor> {
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
    let mut outputs = apply(Op { masks, between }, &inputs)?;
    outputs.pop().ok_or_else(|| Error::unsupported("a perceptron without its output"))
}

/// Rows that are worth a thread of their own.
const ROWS_OF_A_THREAD: i64 = 128;

/// The number of parts in which rows are worked on, each by one thread from the first layer to the
/// last: threads meet once, and not in every product.
fn parts(rows: i64) -> i64 {
    (rows / ROWS_OF_A_THREAD).clamp(1, i64::from(tch::get_num_threads()).max(1))
}

/// A range of rows.
#[derive(Debug, Clone, Copy)]
struct Part {
    number: i64,
    first: i64,
    rows: i64,
}

impl Part {
    fn of(self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_narrow(0, self.first, self.rows)?)
    }
}

/// Runs `body` on each part of the rows, side by side, without recording.
fn by_rows(rows: i64, body: &dyn Fn(Part) -> Result<()>) -> Result<()> {
    /// Lets threads borrow what `body` holds.
    struct Across<'a>(&'a dyn Fn(Part) -> Result<()>);
    #[allow(unsafe_code, reason = "tensors seen from several threads")]
    // SAFETY: `body` reads shared tensors and writes views of rows that no other part has; LibTorch's
    // reference counts are atomic. Every caller is in this file.
    unsafe impl Sync for Across<'_> {}
    impl Across<'_> {
        fn run(&self, part: Part) -> Result<()> {
            let _no_grad = tch::no_grad_guard();
            (self.0)(part)
        }
    }

    let count = parts(rows);
    let across = Across(body);
    let failure = Mutex::new(None);
    parallel(count as usize, 1, &|begin, end| {
        for number in begin as i64..end as i64 {
            let (first, next) = (number * rows / count, (number + 1) * rows / count);
            let part = Part { number, first, rows: next - first };
            if let Err(error) = across.run(part) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[derive(Debug)]
struct Op {
    masks: Vec<Option<Staircase>>,
    between: Between,
}

fn masked(weight: &Tensor, mask: Option<&Staircase>) -> Result<Tensor> {
    match mask {
        Some(mask) => Ok(weight.f_mul(&mask.mask)?),
        None => Ok(weight.shallow_clone()),
    }
}

/// `out = x Wᵀ + b` with the weight already masked.
fn product(
    out: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    mask: Option<&Staircase>,
) -> Result<()> {
    let blocks = match mask {
        Some(mask) if mask.blocks.len() > 1 => &mask.blocks,
        _ => {
            let _out = bias.f_addmm_out(out, x, &weight.f_transpose(0, 1)?)?;
            return Ok(());
        }
    };
    for block in blocks {
        let part = out.f_narrow(1, block.first, block.rows)?;
        let w = weight.f_narrow(0, block.first, block.rows)?.f_narrow(1, 0, block.columns)?;
        let h = x.f_narrow(1, 0, block.columns)?;
        let b = bias.f_narrow(0, block.first, block.rows)?;
        let _part = b.f_addmm_out(&part, &h, &w.f_transpose(0, 1)?)?;
    }
    Ok(())
}

/// `out = gᵀ h`, of which the part inside the mask matters; `out` is zero before.
fn weight_gradient(out: &Tensor, g: &Tensor, h: &Tensor, mask: Option<&Staircase>) -> Result<()> {
    let transposed = g.f_transpose(0, 1)?;
    let blocks = match mask {
        Some(mask) if mask.blocks.len() > 1 => &mask.blocks,
        // BLAS is several times slower where the result is narrow than where it is flat.
        _ if 4 * h.size()[1] <= g.size()[1] => {
            out.shallow_clone().f_copy_(&h.f_transpose(0, 1)?.f_mm(g)?.f_transpose(0, 1)?)?;
            return Ok(());
        }
        _ => {
            let _out = transposed.f_mm_out(out, h)?;
            return Ok(());
        }
    };
    for block in blocks {
        let part = out.f_narrow(0, block.first, block.rows)?.f_narrow(1, 0, block.columns)?;
        let g = transposed.f_narrow(0, block.first, block.rows)?;
        let _part = g.f_mm_out(&part, &h.f_narrow(1, 0, block.columns)?)?;
    }
    Ok(())
}

/// `out = g W` with the weight already masked; `out` is zero before where the mask is in blocks.
fn input_gradient(
    out: &Tensor,
    g: &Tensor,
    weight: &Tensor,
    mask: Option<&Staircase>,
) -> Result<()> {
    let blocks = match mask {
        Some(mask) if mask.blocks.len() > 1 => &mask.blocks,
        _ => {
            let _out = g.f_mm_out(out, weight)?;
            return Ok(());
        }
    };
    let out = out.shallow_clone().f_zero_()?;
    for block in blocks {
        let mut part = out.f_narrow(1, 0, block.columns)?;
        let g = g.f_narrow(1, block.first, block.rows)?;
        let w = weight.f_narrow(0, block.first, block.rows)?.f_narrow(1, 0, block.columns)?;
        let _part = part.f_addmm_(&g, &w)?;
    }
    Ok(())
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
        let rows = x.size()[0];
        let mut weights = Vec::with_capacity(last + 1);
        let mut layers = Vec::with_capacity(last + 1);
        for (i, pair) in parameters.chunks_exact(2).enumerate() {
            weights.push(masked(&pair[0], self.mask(i))?);
            layers.push(Tensor::f_empty([rows, pair[1].size()[0]], (x.kind(), x.device()))?);
        }
        by_rows(rows, &|part| {
            let mut h = part.of(x)?;
            for (i, layer) in layers.iter().enumerate() {
                let out = part.of(layer)?;
                product(&out, &h, &weights[i], &parameters[2 * i + 1], self.mask(i))?;
                h = if i < last { self.between.apply(out)? } else { out };
            }
            Ok(())
        })?;
        let outputs = vec![layers.pop().ok_or_else(|| Error::unsupported("no layers"))?];
        // What backward wants again: the masked weights, and what is kept of hidden layers.
        weights.append(&mut layers);
        Ok(Forward { outputs, saved: weights })
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
        let grad = grad.f_contiguous()?;
        let (weights, hidden) = saved.split_at(self.masks.len().min(saved.len()));
        let (rows, options) = (x.size()[0], (x.kind(), x.device()));
        // Each part of the rows has gradients of the parameters of its own, summed afterwards.
        let parts = parts(rows);
        let mut partial = Vec::with_capacity(2 * weights.len());
        for weight in weights {
            let [outputs, width] = [weight.size()[0], weight.size()[1]];
            partial.push(Tensor::f_zeros([parts, outputs, width], options)?);
            partial.push(Tensor::f_empty([parts, outputs], options)?);
        }
        let grad_x = x.requires_grad().then(|| Tensor::f_empty(x.size(), options)).transpose()?;
        by_rows(rows, &|part| {
            let mut g = part.of(&grad)?;
            for (i, weight) in weights.iter().enumerate().rev() {
                let mask = self.mask(i);
                let kept = part.of(if i == 0 { x } else { &hidden[i - 1] })?;
                let h = kept.shallow_clone();
                let h = if i == 0 { h } else { self.between.again(h)? };
                weight_gradient(&partial[2 * i].f_select(0, part.number)?, &g, &h, mask)?;
                let bias = partial[2 * i + 1].f_select(0, part.number)?;
                let _bias = g.f_sum_intlist_out(&bias, [0_i64].as_slice(), false, None::<Kind>)?;
                if i > 0 {
                    let next = Tensor::f_empty(h.size(), options)?;
                    input_gradient(&next, &g, weight, mask)?;
                    g = self.between.gradient(&kept, &next)?;
                } else if let Some(grad_x) = &grad_x {
                    input_gradient(&part.of(grad_x)?, &g, weight, mask)?;
                }
            }
            Ok(())
        })?;
        let mut found = vec![grad_x];
        for (i, partial) in partial.iter().enumerate() {
            let mut sum = match parts {
                1 => partial.f_select(0, 0)?,
                _ => partial.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>)?,
            };
            if let (0, Some(mask)) = (i % 2, self.mask(i / 2)) {
                sum = sum.f_mul_(&mask.mask)?;
            }
            found.push(Some(sum));
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
                h = match self.between {
                    Between::Rectifier => h.f_relu()?,
                    Between::Gelu(gelu) => gelu.apply(&h)?,
                };
            }
            h = h.f_linear(&masked(&pair[0], self.mask(i))?, Some(&pair[1]))?;
        }
        Ok(vec![h])
    }
}
