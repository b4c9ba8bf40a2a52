//! Objectives that fit an autoregressive model of token sequences.
//!
//! Each has the loss of every token, `each` `[B, T]`, and their token mean, `loss_at`: the sum of
//! weighted losses over the sum of weights of the whole batch, not a mean of means of sequences.
//! `loss` takes a batch of tokens `[B, T]` with weights `[B, T]`; each token after the first is
//! predicted from those before it.

mod balance;
mod cross_entropy;
mod distillation;
mod emo;
mod label_smoothing;
mod margin_ranking;
mod mixce;
mod predictions;
mod ranking;
mod replay;
mod smile;
mod unlikelihood;

pub use balance::{SubTrajectoryBalance, Trajectories, Walk};
pub use cross_entropy::CrossEntropy;
pub use distillation::Distillation;
pub use emo::{Cost, Emo, EmoLead};
pub use label_smoothing::LabelSmoothing;
pub use margin_ranking::MarginRanking;
pub use mixce::MixCe;
pub use predictions::Predictions;
pub use ranking::{Ranking, score};
pub use replay::{Remembered, Replay};
pub use smile::{Smile, WordSet};
pub use unlikelihood::Unlikelihood;

use maxlik_model::{Loss, Metric};
use maxlik_tensor::Result;
use tch::Tensor;

/// A loss with the negative log-likelihood beside it, for objectives whose value is another.
fn with_nll(value: Tensor, at: &Predictions) -> Result<Loss> {
    let _no_grad = tch::no_grad_guard();
    let nll = at.mean(&-at.log_prob()?.f_detach()?)?;
    Ok(Loss { value, metrics: vec![Metric { name: "nll", value: nll }] })
}
