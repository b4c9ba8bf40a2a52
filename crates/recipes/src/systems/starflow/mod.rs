//! TARFlow and STARFlow: transformer flows.

mod digits;
mod speed;
mod toy;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// TARFlow and STARFlow.
pub(super) const SYSTEM: System = System {
    name: "starflow",
    about: "transformer flows with guidance and denoising (TARFlow, arXiv:2412.06329; STARFlow, \
            arXiv:2506.06276)",
    claim: "stacks of autoregressive transformer blocks in alternating order fit what one block \
            cannot, class-conditional samples are guided, and a score step takes the training noise \
            off; paper: 2.99 bits/dim on ImageNet 64",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = toy::checks(seed)?;
    checks.extend(digits::checks(seed, out)?);
    checks.push(speed::check(seed)?);
    Ok(checks)
}
