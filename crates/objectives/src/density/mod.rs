//! Objectives that fit a density.

mod dequantization;
mod maximum_likelihood;

pub use dequantization::{Dequantized, bits_per_dim};
pub use maximum_likelihood::MaximumLikelihood;
