//! Fine-tuning a language model to sample from a posterior, where the posterior can be enumerated.
//!
//! Strings of up to four of five words are drawn from a random bigram language, and a judge says yes to
//! those whose numbers sum to a multiple of three more often than to others. The policy starts as a
//! language model of the prior, and is trained by sub-trajectory balance on its own samples at several
//! temperatures and on a memory of the best; the baseline starts there too, and maximises the reward.
//! A second task is the paper's first: numbers that a skewed model should say uniformly.
//!
//! After a string of full length the end is certain, for the policy in the loss as for the sampler. The
//! paper's code takes the policy's own logit there, for which see `Walk::of`.

mod numbers;
mod policy;
mod strings;

use super::super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// GFlowNet fine-tuning.
pub(in super::super) const SYSTEM: System = System {
    name: "gflownet",
    about: "sampling from a posterior by sub-trajectory balance (Hu et al. 2024, arXiv:2310.04363)",
    claim: "the policy matches the posterior, tempered or not, where maximising the reward collapses; \
            numbers become uniform",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = strings::run(seed, out)?;
    checks.extend(numbers::run(seed)?);
    Ok(checks)
}
