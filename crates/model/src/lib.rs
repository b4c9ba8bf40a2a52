//! The traits that maxlik's layers, solvers and objectives share, and their plain data.
//!
//! | trait | contract |
//! |---|---|
//! | [`Bijection`] | an invertible map with the log-determinant of its Jacobian |
//! | [`Density`] | a normalised density: log-probability in nats, and samples |
//! | [`VectorField`] | a velocity `dx/dt` |
//! | [`LanguageModel`] | an autoregressive model of token sequences |
//! | [`Objective`] | one way to train a model with a given capability |
//!
//! Public methods check shape, dtype and device once; implementers write only the mathematics, in
//! the methods that the docs call unchecked. There is no mathematics in this crate.

mod bijection;
mod capability;
mod density;
mod language;
mod objective;

pub use bijection::{Bijection, Mapped};
pub use capability::{
    Energy, InjectiveDensity, PathDensity, PropagateScore, Propagated, Reconstruct, Score,
    VectorField,
};
pub use density::{Density, Sampled};
pub use language::{LanguageModel, Session, check_tokens};
pub use objective::{Batch, Loss, Metric, Objective};
