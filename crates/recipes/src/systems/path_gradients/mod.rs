//! Path gradients: Kullback–Leibler divergences without the noise of the model's score.

mod continuous;
mod optimum;
mod overfitting;
mod speed;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// Path gradients.
pub(super) const SYSTEM: System = System {
    name: "path-gradients",
    about: "path gradients of both Kullback-Leibler divergences in one pass (Vaitl et al. 2024, \
            arXiv:2403.15881)",
    claim: "no gradient noise where model and target agree, less over-fitting of few data whose \
            energy is known, at a cost near the standard gradient's; paper: 1.6 of its time for affine \
            couplings, 2 against 17 for implicit ones",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = optimum::checks(seed)?;
    checks.extend(overfitting::checks(seed, out)?);
    checks.extend(speed::checks(seed)?);
    checks.extend(continuous::checks(seed)?);
    Ok(checks)
}
