//! Exact Jacobians and traces, one output at a time or several at once.

use crate::autograd::{Function, Graph, gradient, leaf, recorded};
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// How the backward passes of an exact computation are arranged; the results are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sweep {
    /// One backward pass for each output through one forward pass: `D` backward passes on `B` rows,
    /// the least memory.
    #[default]
    Loop,
    /// The batch replicated for so many outputs at once: one forward and `⌈D/n⌉` backward passes on
    /// `n·B` rows. Faster for small batches, where the overhead of an op outweighs its work.
    Chunks(usize),
}

/// The Jacobian `[B, M, N]` of a map whose rows do not interact, as [`crate::autograd::jacobian`].
///
/// With [`Sweep::Chunks`], `f` is called with more rows than `x` has: row `i` of `x` comes again as
/// row `i + kB`, and a tensor of `B` rows that `f` captures, such as a context, must be repeated in
/// the same way.
///
/// # Errors
/// [`Error::Config`] for chunks of zero, [`Error::Shape`] for a tensor without a batch dimension,
/// and those of `f`.
pub fn jacobian(f: &Function<'_>, x: &Tensor, sweep: Sweep, graph: Graph) -> Result<Tensor> {
    let Sweep::Chunks(chunk) = sweep else {
        return crate::autograd::jacobian(f, x, graph);
    };
    let chunk = chunk_size(chunk, x)?;
    recorded(|| {
        let size = x.size();
        let (batch, columns) = (size[0], size[1..].iter().product::<i64>());
        let part = Part::new(f, x, chunk, graph)?;
        let rows = part.outputs();
        let mut lines = Vec::new();
        for start in (0..rows).step_by(chunk as usize) {
            let count = chunk.min(rows - start);
            let some = part.lines(start, count, graph)?;
            lines.push(some.f_reshape([chunk, batch, columns])?.f_narrow(0, 0, count)?);
        }
        if lines.is_empty() {
            let options = (x.kind(), x.device());
            return Ok(Tensor::f_zeros([batch, 0, columns], options)?);
        }
        let all = Tensor::f_cat(&lines, 0)?.f_transpose(0, 1)?.f_contiguous()?;
        if graph == Graph::Differentiable { Ok(all) } else { Ok(all.f_detach()?) }
    })
}

/// `tr ∂f/∂x` for each row, `[B]`, of a map to the shape of `x`: the divergence of a field. With
/// [`Sweep::Loop`] `D` backward passes; the Jacobian is not stored. See [`jacobian`] for chunks.
///
/// # Errors
/// [`Error::Shape`] where `f(x)` has another shape than `x`, and as [`jacobian`].
pub fn exact(f: &Function<'_>, x: &Tensor, sweep: Sweep, graph: Graph) -> Result<Tensor> {
    let chunk = match sweep {
        Sweep::Loop => chunk_size(1, x)?,
        Sweep::Chunks(chunk) => chunk_size(chunk, x)?,
    };
    recorded(|| {
        let size = x.size();
        let (batch, dims) = (size[0], size[1..].iter().product::<i64>());
        let mut sum = Tensor::f_zeros([batch], (x.kind(), x.device()))?;
        let part = Part::new(f, x, chunk, graph)?;
        check::shape("f(x)", &part.value, &part.x.size())?;
        for start in (0..dims).step_by(chunk as usize) {
            let count = chunk.min(dims - start);
            let lines = part.lines(start, count, graph)?;
            let lines = lines.f_reshape([chunk, batch, dims])?.f_narrow(0, 0, count)?;
            // Entries (k, ·, start + k) of the lines.
            let diagonal = lines.f_diagonal(start, 0, 2)?;
            let last = [-1_i64];
            let some = diagonal.f_sum_dim_intlist(last.as_slice(), false, None::<Kind>)?;
            sum = sum.f_add(&some)?;
        }
        if graph == Graph::Differentiable { Ok(sum) } else { Ok(sum.f_detach()?) }
    })
}

fn chunk_size(chunk: usize, x: &Tensor) -> Result<i64> {
    if x.dim() == 0 {
        return Err(Error::shape("x", "[B, …]", &x.size()));
    }
    match i64::try_from(chunk) {
        Ok(chunk) if chunk > 0 => Ok(chunk),
        _ => Err(Error::config("chunks", "expected at least one output at a time")),
    }
}

/// `f` at `copies` copies of the batch.
struct Part {
    x: Tensor,
    value: Tensor,
    copies: i64,
}

impl Part {
    fn new(f: &Function<'_>, x: &Tensor, copies: i64, graph: Graph) -> Result<Self> {
        let x = if graph == Graph::Differentiable && x.requires_grad() {
            x.shallow_clone()
        } else {
            leaf(x)?
        };
        let mut repeats = vec![1_i64; x.dim()];
        repeats[0] = copies;
        let x = if copies == 1 { x } else { x.f_repeat(repeats.as_slice())? };
        let value = f(&x)?;
        Ok(Self { x, value, copies })
    }

    fn outputs(&self) -> i64 {
        self.value.size().get(1..).unwrap_or_default().iter().product()
    }

    /// The gradients of the outputs `start..start + count`, copy `k` having that of `start + k`.
    fn lines(&self, start: i64, count: i64, graph: Graph) -> Result<Tensor> {
        let outputs = self.outputs();
        let batch = self.x.size()[0] / self.copies;
        let options = (self.value.kind(), self.value.device());
        let pick = Tensor::f_zeros([self.copies, batch, outputs], options)?;
        for k in 0..count {
            let _filled = pick.f_select(0, k)?.f_select(1, start + k)?.f_fill_(1.0)?;
        }
        let pick = pick.f_reshape(self.value.size().as_slice())?;
        let keep = if graph == Graph::Free { Graph::Keep } else { graph };
        gradient(&self.value, Some(&pick), &self.x, keep)
    }
}
