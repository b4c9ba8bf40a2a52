//! Fine-tuning flow matching by the likelihood of reconstructions.
//!
//! A field is trained by independent flow matching and then sampled in four Euler steps, which flow
//! matching never sees. Fine-tuning unrolls these steps and fits their end to data, whose start the frozen
//! field encodes by a fine solver (this pairing and the contracting residual are ours, see
//! [`maxlik_objectives::transport::Reconstruction`] and [`maxlik_ode::ContractingField`]): the whole field,
//! a free residual beside the frozen one, or one that contracts. The baseline is flow matching continued
//! for as many steps.

mod line;
mod plane;
mod policy;
mod train;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// Fine-tuning by reconstructions.
pub(super) const SYSTEM: System = System {
    name: "fm-reconstruction",
    about: "flow matching fine-tuned by maximum likelihood of reconstructions (arXiv:2510.02081)",
    claim: "fitting the unrolled sampler to data makes coarse samplers good, and a residual may contract; \
            paper: modest gains of FID on CIFAR-10. Here: eight Gaussians in four Euler steps",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = plane::checks(seed, out)?;
    checks.extend(policy::checks(seed)?);
    checks.extend(line::checks(seed, out)?);
    Ok(checks)
}
