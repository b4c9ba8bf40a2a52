//! Kullback–Leibler divergences from and to an energy, by the standard and by path gradients.

mod effective;
mod forward;
mod importance;
mod path;
mod reverse;

pub use effective::{forward_ess, reverse_ess};
pub use forward::ForwardKl;
pub use importance::ImportanceWeighted;
pub use path::Estimator;
pub use reverse::ReverseKl;
