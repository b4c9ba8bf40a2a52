//! Data for maximum-likelihood training, in host memory as `ndarray` arrays.
//!
//! | module | what |
//! |---|---|
//! | [`dataset`] | [`Dataset`]: rows with names, labels, context, weights |
//! | [`digits`] | 1,797 handwritten digits, in the crate |
//! | [`text`] | documents from files, tokens of characters and bytes (of byte pairs with the feature `bpe`), rows with loss masks |
//! | [`toy`] | densities on the plane with exact log-density and entropy |
//! | [`split`] | seeded training, validation and test parts |
//! | [`standardize`] | columns of mean 0 and deviation 1, fitted on the training part |
//! | [`dequantize`] | from integers to the unit interval and back, bits per dimension |
//! | [`table`] | CSV, NPY and NPZ files, the UCI tables of density estimation |
//! | [`augment`] | shifts of images |
//! | [`loader`] | shuffled batches, prepared ahead, that can be resumed at any step |
//! | [`random`] | the generators under all of it |
//!
//! Nothing here needs LibTorch; the feature `tch` adds the conversion of batches to tensors.
//! Every random draw is a pure function of a seed, a stream name and counters: see [`random`].

pub mod augment;
pub mod dataset;
pub mod dequantize;
pub mod digits;
mod error;
pub mod loader;
pub mod random;
mod scalar;
pub mod split;
pub mod standardize;
pub mod table;
#[cfg(feature = "tch")]
pub mod tensor;
pub mod text;
pub mod toy;

pub use augment::{RandomShift, shift};
pub use dataset::Dataset;
pub use dequantize::{Dequantize, bits_per_dim, quantize};
pub use error::{Error, Result};
pub use loader::{Batches, HostBatch, Loader, LoaderConfig, Position, Transform};
pub use random::{Stream, below, normal, open_unit, permutation};
pub use scalar::Scalar;
pub use split::{Partition, Split};
pub use standardize::{OnConstant, Standardizer};
pub use table::{CsvOptions, Header, OnMissing, Table};
