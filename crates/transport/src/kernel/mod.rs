//! Vector kernels. Each is written once over [`pulp::Simd`] and dispatched at run time to the
//! widest instructions of the machine; all slices are padded to [`crate::buffer::PAD`].

pub(crate) mod bid;
mod collect;
pub(crate) mod exp;
pub(crate) mod line;
mod pair;
pub(crate) mod relax;
pub(crate) mod rows;
pub(crate) mod sum;

pub(crate) use bid::{Best, best_two};
pub(crate) use collect::{collect, lower};
pub(crate) use pair::squared;
pub(crate) use relax::{Frontier, Relax};
