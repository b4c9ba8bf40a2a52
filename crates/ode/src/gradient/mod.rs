//! Gradients through solutions.

pub(crate) mod times;
