//! Text from language models: greedy, by chance, and by beam search.

mod beam;
mod choice;
mod generate;
mod uncached;

pub use beam::{Beam, Hypothesis};
pub use choice::{Choice, Sampling};
pub use generate::{Generated, Generation};
pub use uncached::Uncached;
