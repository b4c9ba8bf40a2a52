//! Data for maximum-likelihood training, in host memory as `ndarray` arrays.
//!
//! | module | what |
//! |---|---|
//! | [`digits`] | 1,797 handwritten digits, in the crate |
//! | [`toy`] | densities on the plane with exact log-density and entropy |
//! | [`split`](Split) | seeded training, validation and test parts |
//!
//! Nothing here needs LibTorch; the feature `tch` adds the conversion of batches to tensors.
//! Every random draw is a pure function of a seed, a stream name and counters: see [`Stream`].

pub mod dataset;
pub mod digits;
mod error;
mod random;
mod split;
pub mod toy;

pub use dataset::{Dataset, Scalar};
pub use error::{Error, Result};
pub use random::{Stream, below, normal, open_unit, permutation};
pub use split::{Partition, Split};
