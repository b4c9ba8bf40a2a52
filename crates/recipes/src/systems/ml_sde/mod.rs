//! ML-SDE: the reverse step that makes the paths of the forward diffusion most likely.
//!
//! On Gaussian data with the exact score everything has a closed form, so that the first stage is
//! exact and trains nothing. In the second a network learns the noise of eight Gaussians.

mod exact;
mod learned;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// ML-SDE.
pub(super) const SYSTEM: System = System {
    name: "ml-sde",
    about: "the maximum-likelihood reverse step of diffusions (DiffVC, arXiv:2109.13821)",
    claim: "few steps suffice; paper: CIFAR-10 FID at 10 steps 229.6 by Euler–Maruyama, 24.5 by \
            ML-SDE. Here: variances on Gaussian data, then W₂ on eight Gaussians",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = exact::checks();
    checks.extend(learned::checks(seed, out)?);
    Ok(checks)
}
