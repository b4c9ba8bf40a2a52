//! Gathers states of samples that come in any order into one tensor, with their graphs.

use crate::time::indices;
use maxlik_tensor::Result;
use tch::Tensor;

/// Pieces `[p, …]` that fill the slots of `[T, B, …]`.
#[derive(Debug)]
pub(crate) struct Collector {
    count: usize,
    rows: usize,
    slots: Vec<Option<i64>>,
    pieces: Vec<Tensor>,
    filled: i64,
}

impl Collector {
    pub(crate) fn new(count: usize, rows: usize) -> Self {
        Self { count, rows, slots: vec![None; count * rows], pieces: Vec::new(), filled: 0 }
    }

    /// Row `i` of `y` is that of sample `slots[i].1` at time `slots[i].0`.
    pub(crate) fn put(&mut self, slots: impl IntoIterator<Item = (usize, usize)>, y: Tensor) {
        for (time, row) in slots {
            self.slots[time * self.rows + row] = Some(self.filled);
            self.filled += 1;
        }
        self.pieces.push(y);
    }

    /// All rows of `y` at a time.
    pub(crate) fn put_all(&mut self, time: usize, y: Tensor) {
        let rows = self.rows;
        self.put((0..rows).map(|row| (time, row)), y);
    }

    /// `[T, B, …]`, with NaN where no piece came; `like` is `[B, …]`.
    pub(crate) fn finish(mut self, like: &Tensor) -> Result<Tensor> {
        let mut shape = like.size();
        shape.insert(0, i64::try_from(self.count).unwrap_or(0));
        let in_order = self.slots.iter().enumerate().all(|(i, s)| s.map(|s| s as usize) == Some(i));
        if self.slots.iter().any(Option::is_none) {
            let mut pad = like.size();
            pad[0] = 1;
            self.pieces.push(Tensor::f_full(pad, f64::NAN, (like.kind(), like.device()))?);
        }
        if self.pieces.is_empty() {
            return Ok(Tensor::f_zeros(shape, (like.kind(), like.device()))?);
        }
        let all = match self.pieces.as_slice() {
            [one] => one.shallow_clone(),
            several => Tensor::f_cat(several, 0)?,
        };
        if in_order {
            return Ok(all.f_view(shape.as_slice())?);
        }
        let index: Vec<i64> = self.slots.iter().map(|slot| slot.unwrap_or(self.filled)).collect();
        Ok(all.f_index_select(0, &indices(&index, like)?)?.f_view(shape.as_slice())?)
    }
}
