//! Free-form injective flows: likelihood on a learned manifold.

mod linear;
mod naive;
mod sine;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// Free-form injective flows.
pub(super) const SYSTEM: System = System {
    name: "injective-flow",
    about: "encoder and decoder of any architecture as a density on a manifold (free-form injective \
            flow, arXiv:2306.01843)",
    claim: "a surrogate gradient trains manifold and density together, where an auto-encoder alone gives \
            no density and the likelihood on the manifold diverges; paper: FID-like scores below \
            rectangular flows on three of four tables",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = sine::checks(seed, out)?;
    checks.extend(linear::checks()?);
    checks.extend(naive::checks(seed, out)?);
    Ok(checks)
}
