//! The slopes of a step's stages, and their weighted sums in one matrix–vector product.

use crate::Time;
use crate::time::numbers;
use maxlik_tensor::Result;
use tch::Tensor;

/// Slopes `k₁, k₂, …` of one step.
///
/// Without a graph they are copied into one buffer `[s, n]` that is used again from step to step;
/// with one they are kept as they came, since writing in place would hide their history.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    capacity: usize,
    buffer: Option<Tensor>,
    used: usize,
    list: Vec<Tensor>,
    shape: Vec<i64>,
}

impl Stages {
    /// Room for `capacity` slopes, in the memory of `spare` where that fits.
    pub(crate) fn new(capacity: usize, spare: Option<Tensor>) -> Self {
        Self { capacity, buffer: spare, used: 0, list: Vec::new(), shape: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.used.max(self.list.len())
    }

    /// The buffer, for the next step.
    pub(crate) fn into_buffer(self) -> Option<Tensor> {
        self.buffer
    }

    pub(crate) fn push(&mut self, k: &Tensor) -> Result<()> {
        if self.len() == 0 {
            self.shape = k.size();
        }
        if k.requires_grad() || !self.list.is_empty() {
            if self.list.is_empty() {
                self.list = (0..self.used).map(|i| self.row(i)).collect::<Result<_>>()?;
                (self.buffer, self.used) = (None, 0);
            }
            self.list.push(k.shallow_clone());
            return Ok(());
        }
        let n: i64 = self.shape.iter().product();
        let fits = |b: &Tensor| {
            b.size() == [rows(self.capacity), n] && b.kind() == k.kind() && b.device() == k.device()
        };
        let buffer = match self.buffer.take() {
            Some(buffer) if fits(&buffer) => buffer,
            _ => Tensor::f_empty([rows(self.capacity), n], (k.kind(), k.device()))?,
        };
        buffer.f_select(0, rows(self.used))?.f_view(self.shape.as_slice())?.f_copy_(k)?;
        self.buffer = Some(buffer);
        self.used += 1;
        Ok(())
    }

    fn row(&self, i: usize) -> Result<Tensor> {
        match &self.buffer {
            // A copy: the buffer is written again.
            Some(buffer) => {
                Ok(buffer.f_select(0, rows(i))?.f_view(self.shape.as_slice())?.f_detach_copy()?)
            }
            None => Ok(self.list[i].shallow_clone()),
        }
    }

    /// The first `count` slopes, `[count, n]`.
    fn matrix(&self, count: usize) -> Result<Tensor> {
        if self.list.is_empty()
            && let Some(buffer) = &self.buffer
        {
            return Ok(buffer.f_narrow(0, 0, rows(count))?);
        }
        Ok(Tensor::f_stack(&self.list[..count], 0)?.f_view([rows(count), -1])?)
    }

    /// `Σ wᵢ kᵢ` over the first slopes, of the state's shape.
    pub(crate) fn sum(&self, weights: &Tensor) -> Result<Tensor> {
        let matrix = self.matrix(weights.numel())?;
        Ok(matrix.f_transpose(0, 1)?.f_mv(weights)?.f_view(self.shape.as_slice())?)
    }

    /// `y + dt Σ wᵢ kᵢ`.
    pub(crate) fn advance(&self, y: &Tensor, dt: &Time, weights: &Tensor) -> Result<Tensor> {
        match dt {
            Time::Shared(h) => {
                let matrix = self.matrix(weights.numel())?.f_transpose(0, 1)?;
                let scaled = weights.f_mul_scalar(*h)?;
                Ok(y.f_reshape([-1])?.f_addmv(&matrix, &scaled)?.f_view(self.shape.as_slice())?)
            }
            Time::Each(_) => dt.advance(y, &self.sum(weights)?),
        }
    }

    /// As [`Stages::advance`] for the rows `rows` (`[p]`), each with weights of its own.
    pub(crate) fn advance_rows(
        &self,
        y: &Tensor,
        dt: &Time,
        rows: &Tensor,
        weights: &[Vec<f64>],
    ) -> Result<Tensor> {
        let count = weights.first().map_or(0, Vec::len);
        let picked = i64::try_from(weights.len()).unwrap_or(0);
        let flat = numbers(&weights.concat(), y)?.f_view([picked, -1])?.f_transpose(0, 1)?;
        let slopes = self.matrix(count)?.f_view([-1, self.shape[0], self.features()])?;
        let picked_slopes = slopes.f_index_select(1, rows)?;
        let sum = picked_slopes.f_mul(&flat.f_unsqueeze(-1)?)?.f_sum_dim_intlist(
            [0_i64].as_slice(),
            false,
            None,
        )?;
        let y = y.f_index_select(0, rows)?;
        dt.select(rows)?.advance(&y, &sum.f_view(y.size().as_slice())?)
    }

    fn features(&self) -> i64 {
        self.shape[1..].iter().product()
    }
}

fn rows(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
