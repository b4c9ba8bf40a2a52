//! Likelihood training of diffusion ODEs.
//!
//! First what is exact: on normal data the ODE of the closed-form velocity has the normal's density.
//! Then handwritten digits, 17 grey levels, on the variance-preserving path from `g0 = −2 ln 51`, where
//! half a level is three standard deviations of the noise, to `g1 = 5`: a residual perceptron trained by
//! velocity matching under likelihood weighting with importance-sampled noise levels, then fine-tuned with
//! and without the second-order term. The probability of a held-out image is a bound by the ODE and
//! truncated-normal or uniform dequantization, with one Hutchinson probe for each image that all
//! comparisons share.
//!
//! Two bounds were meant otherwise before anything was run. Importance sampling halves the standard deviation
//! of a loss at a level of its own; a batch whose levels are stratified, as they are in training, varies
//! less to begin with, and there importance sampling leaves 0.84 of it (mean of three seeds), not 0.7.
//! And the squared second-order residual of drawn data cannot fall by a fifth: it is the noise of one draw of
//! `‖F* − F‖²` almost alone (98 % on eight normals, where its mean is known). So the fifth is asked of the
//! residual's mean given the state, on eight normals in the plane. There 500 steps of batch 256 left 0.76, 0.76 and
//! 0.82 of it over three seeds, since the noise of the draws hid what was to be learned; on four times the rows at
//! twice the rate (for the tuning without the second order as well) 0.42, 0.36 and 0.38 are left, and
//! 0.65 in the mean without the second order. The term's weight there is 0.3; the paper's code has 0.1.

mod digits;
mod exact;
mod measure;
mod network;
mod plane;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// i-DODE.
pub(super) const SYSTEM: System = System {
    name: "i-dode",
    about: "likelihood training of diffusion ODEs (i-DODE, arXiv:2305.03935)",
    claim: "velocity prediction, importance-sampled noise levels, second-order fine-tuning and \
            truncated-normal dequantization; paper: CIFAR-10 2.56 bits/dim without variational \
            dequantization or augmentation. Here: digits",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = exact::checks(seed)?;
    checks.extend(plane::checks(seed)?);
    checks.extend(digits::checks(seed, out)?);
    Ok(checks)
}
