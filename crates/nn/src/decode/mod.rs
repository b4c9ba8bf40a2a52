//! Text from language models: greedy, by chance, by beam search, and by minimum Bayes risk.

mod beam;
mod choice;
mod generate;
mod minimum_risk;
mod uncached;

pub use beam::{Beam, Hypothesis};
pub use choice::{Choice, Sampling};
pub use generate::{Generated, Generation};
pub use minimum_risk::{MinimumRisk, Rated};
pub use uncached::Uncached;
