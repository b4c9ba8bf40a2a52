//! Autoregressive layers.

mod block;
mod order;
mod score;
mod solve;

pub use block::BlockAutoregressive;
pub use order::Order;
pub use solve::Solve;

use crate::univariate::Univariate;
use maxlik_model::{Bijection, Mapped, PropagateScore};
use maxlik_nn::{MaskedNetwork, MaskedShape};
use maxlik_tensor::Result;
use tch::Tensor;

/// Maps each coordinate by an elementwise map whose parameters a masked network computes from the
/// coordinates before it in an order, and from the context.
///
/// With [`Affine`](crate::univariate::Affine) this is the masked autoregressive flow (Papamakarios
/// et al. 2017, arXiv:1705.07057, eqs. 3–4), with [`Spline`](crate::univariate::Spline) the
/// autoregressive neural spline flow (Durkan et al. 2019, arXiv:1906.04032, section 2.2); turned
/// round by [`Inverse`](crate::Inverse) it is the inverse autoregressive flow (Kingma et al. 2016,
/// arXiv:1606.04934). The Jacobian is triangular in the order, so that the log-determinant is the
/// sum of the elementwise ones. Forward is one pass of the network; [`Solve`] says how the inverse
/// is found.
#[derive(Debug)]
pub struct Autoregressive<U> {
    univariate: U,
    network: Box<dyn MaskedNetwork>,
    shape: [i64; 1],
    context: Option<[i64; 1]>,
    /// The coordinate of each rank, and back.
    order: Vec<i64>,
    ranks: Tensor,
    solve: Solve,
}

impl<U: Univariate> Autoregressive<U> {
    /// A layer on `[D]`; `network` builds the conditioner of the shape that it is given.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for an order or a solver that does not fit, and those of
    /// `network`.
    pub fn new(
        dims: i64,
        order: &Order,
        univariate: U,
        context: Option<i64>,
        solve: Solve,
        network: impl FnOnce(&MaskedShape) -> Result<Box<dyn MaskedNetwork>>,
    ) -> Result<Self> {
        solve.check()?;
        let shape = MaskedShape {
            ranks: order.ranks(dims)?,
            context: context.unwrap_or(0),
            parameters: univariate.parameters(),
        };
        let order = shape.order()?;
        Ok(Self {
            univariate,
            network: network(&shape)?,
            ranks: Tensor::f_from_slice(&shape.ranks)?,
            shape: [dims],
            context: context.map(|c| [c]),
            order,
            solve,
        })
    }

    /// The same layer with another way to find the inverse.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for a solver that cannot work.
    pub fn solved_by(self, solve: Solve) -> Result<Self> {
        solve.check()?;
        Ok(Self { solve, ..self })
    }

    /// The parameters `[B, D, P]` of all coordinates.
    fn parameters(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let params = self.network.forward(x, context)?;
        Ok(params.f_view([x.size()[0], self.shape[0], self.univariate.parameters()])?)
    }
}

impl<U: Univariate> Bijection for Autoregressive<U> {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_ref().map(<[i64; 1]>::as_slice)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.univariate.forward(x, &self.parameters(x, context)?)
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        solve::unmap(self, z, context)
    }

    fn propagation(&self) -> Option<&dyn PropagateScore> {
        Some(self)
    }
}
