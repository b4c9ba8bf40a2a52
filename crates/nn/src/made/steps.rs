//! Masked networks coordinate by coordinate.

use super::MaskedLinear;
use maxlik_tensor::Result;
use std::fmt::Debug;
use tch::Tensor;

/// A pass through a masked network that learns the coordinates in the order of their ranks.
pub trait Steps: Debug {
    /// The `P` numbers `[B, P]` of the next rank; `previous` is the coordinate `[B]` of the rank
    /// before, `None` the first time.
    ///
    /// # Errors
    /// LibTorch's, for another batch size, or when all coordinates have been learnt.
    fn next(&mut self, previous: Option<&Tensor>) -> Result<Tensor>;
}

/// The sums of a layer whose inputs are not all known yet: those of the units that are complete are
/// taken, the others wait. No entry outside the mask is read, since it lies above the staircase.
#[derive(Debug)]
pub(super) struct Pending {
    /// `[outputs, inputs]`, outputs in the order in which they are taken.
    weight: Tensor,
    /// Sums of the outputs from `taken` on, `[B, outputs − taken]`.
    sums: Tensor,
    taken: i64,
}

impl Pending {
    /// The sums before any input is known.
    pub(super) fn new(layer: &MaskedLinear, batch: i64) -> Result<Self> {
        Self::of(layer.weight().shallow_clone(), layer.bias(), batch)
    }

    pub(super) fn of(weight: Tensor, bias: &Tensor, batch: i64) -> Result<Self> {
        let sums = bias.f_expand([batch, bias.size()[0]], false)?;
        Ok(Self { weight, sums, taken: 0 })
    }

    /// Adds the part of the inputs `values` `[B, n]`, whose first column is column `from` of the
    /// weight.
    pub(super) fn push(&mut self, values: &Tensor, from: i64) -> Result<()> {
        let rows = self.sums.size()[1];
        let columns = values.size()[1];
        if rows > 0 && columns > 0 {
            let part = self.weight.f_narrow(0, self.taken, rows)?.f_narrow(1, from, columns)?;
            self.sums = self.sums.f_addmm(values, &part.f_transpose(0, 1)?)?;
        }
        Ok(())
    }

    /// Takes the next `count` sums, `[B, count]`.
    pub(super) fn take(&mut self, count: i64) -> Result<Tensor> {
        let out = self.sums.f_narrow(1, 0, count)?;
        self.sums = self.sums.f_narrow(1, count, self.sums.size()[1] - count)?;
        self.taken += count;
        Ok(out)
    }
}
