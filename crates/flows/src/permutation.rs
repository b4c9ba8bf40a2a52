//! Fixed permutations of the coordinates.

use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result};
use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use tch::Tensor;

/// `z_i = x_{π(i)}` on `[D]`; the log-determinant is zero. The permutation is part of checkpoints.
#[derive(Debug)]
pub struct Permutation {
    shape: [i64; 1],
    order: Tensor,
}

impl Permutation {
    /// The permutation with `z_i = x_{order[i]}`.
    ///
    /// # Errors
    /// [`Error::Config`] where `order` is no permutation.
    pub fn new(scope: &Scope<'_>, order: &[i64]) -> Result<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if sorted.iter().enumerate().any(|(i, &place)| place != i as i64) {
            let why = format!(
                "expected each of 0 to {} once, got {order:?}",
                order.len().saturating_sub(1)
            );
            return Err(Error::config("permutation", why));
        }
        let order_tensor = scope.buffer("order", &Tensor::f_from_slice(order)?)?;
        Ok(Self { shape: [order.len() as i64], order: order_tensor })
    }

    /// The permutation that reverses the coordinates.
    ///
    /// # Errors
    /// Those of [`Permutation::new`].
    pub fn reverse(scope: &Scope<'_>, dims: i64) -> Result<Self> {
        Self::new(scope, &(0..dims).rev().collect::<Vec<_>>())
    }

    /// A permutation drawn from the scope's seed.
    ///
    /// # Errors
    /// Those of [`Permutation::new`].
    pub fn random(scope: &Scope<'_>, dims: i64) -> Result<Self> {
        let mut order: Vec<i64> = (0..dims).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(scope.seed("order")));
        Self::new(scope, &order)
    }
}

impl Bijection for Permutation {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(x.f_index_select(1, &self.order)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(z.f_index_select(1, &self.order.f_argsort(0, false)?)?)
    }
}
