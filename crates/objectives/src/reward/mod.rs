//! Policies trained by rewards, and rewards found from data.
//!
//! A density `π(ŷ | x)` is trained by a reward `r(ŷ, y)` of its own samples beside the data, with an
//! entropy bonus ([`PolicyGradient`]); what the trained policy says of the data is then differentiated
//! by the reward ([`ImplicitGradient`]), so that the reward can be fitted to the data's likelihood
//! (Benechehab et al. 2025, arXiv:2510.07624).

mod conjugate;
mod implicit;
mod mahalanobis;
mod policy_gradient;

pub use conjugate::{ConjugateGradient, Solved};
pub use implicit::{Implicit, ImplicitGradient};
pub use mahalanobis::Mahalanobis;
pub use policy_gradient::{PolicyGradient, PolicyGradientConfig, RewardEstimator};

use maxlik_tensor::Result;
use std::fmt::Debug;
use tch::Tensor;

/// What an answer is worth beside the data.
pub trait Reward: Debug + Send {
    /// `r(ŷ, y)` for answers and data `[B, …]` of one shape: `[B]`, with the graph of both and of the
    /// reward's own parameters.
    ///
    /// # Errors
    /// For shapes that do not fit.
    fn reward(&self, answer: &Tensor, data: &Tensor) -> Result<Tensor>;
}
