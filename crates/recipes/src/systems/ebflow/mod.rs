//! EBFlow: flows with free linear layers, trained by score matching.
//!
//! Quality on a banana in the plane, 2,000 steps of batch 512 for each way to train; cost of a step of two
//! dense layers at batch 64 in 196 to 3,072 dimensions, the fastest of several rounds in which all dimensions take
//! turns. By the number of operations likelihood over denoising is `0.5 + 0.22 D/B`, and a step of denoising grows
//! with the square of the dimension. Measured, a single product of a batch of 64 with a matrix grows with the
//! power 2.2 already, since matrices of 3,072 columns (36 MiB) leave the caches; and each gradient of that size was
//! a fresh mapping, which the C library makes of everything above 32 MiB whatever its threshold, zeroed page
//! by page: that doubled the time of the product that makes it, and swayed with the machine. `MALLOC_MMAP_MAX_=0`
//! keeps that memory.

mod banana;
mod cost;

use super::{Check, System};
use anyhow::Result;
use std::path::Path;

/// EBFlow.
pub(super) const SYSTEM: System = System {
    name: "ebflow",
    about: "flows as energies: score matching that computes no determinant of linear layers (EBFlow, \
            arXiv:2305.15267)",
    claim: "likelihood on a par with likelihood training, at a cost per step that grows as the square \
            of the dimension where likelihood's grows as its cube; paper: MNIST 1092.8 nats by sliced \
            score matching against 1092.4 by likelihood",
    run,
};

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let mut checks = banana::checks(seed, out)?;
    checks.extend(cost::checks(seed, out)?);
    Ok(checks)
}
