//! IR-SDE: restoring images by reversing a diffusion that ends at the degraded image.
//!
//! Digits of 8×8 pixels under bright streaks. The same network is trained three ways with as many
//! steps: by the paper's objective, whose target is the most likely state one step earlier; by
//! matching the noise; and to predict the clean image at once.

mod model;
mod rain;
mod restore;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// IR-SDE.
pub(super) const SYSTEM: System = System {
    name: "ir-sde",
    about: "image restoration by mean-reverting SDEs (IR-SDE, arXiv:2301.11699)",
    claim: "restores without a prior of the task, and the likelihood objective beats matching the \
            noise; paper: Rain100H PSNR 31.65 dB (MPRNet 30.41). Here: digits under streaks",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = vec![restore::oracle(seed)?];
    checks.extend(restore::checks(seed, out)?);
    Ok(checks)
}

#[cfg(test)]
mod tests {
    #[test]
    fn with_the_true_noise_the_image_comes_back() {
        let check = super::restore::oracle(1).unwrap();
        assert!(check.pass, "{check:?}");
    }
}
