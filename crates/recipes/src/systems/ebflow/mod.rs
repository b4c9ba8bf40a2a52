//! EBFlow: flows with free linear layers, trained by score matching.
//!
//! Quality on a banana in the plane, 2,000 steps of batch 512 for each way to train; cost of a step of two
//! dense layers at batch 64 in 196 to 3,072 dimensions, the fastest of several rounds in which all dimensions take
//! turns. By the number of operations likelihood over denoising is `0.5 + 0.22 D/B`, and a step of denoising grows
//! with the square of the dimension. One thing hid that: the C library maps whatever is above 32 MiB anew, whatever its
//! threshold, and the system clears it page by page; from 3,072 dimensions on each gradient of a matrix (36 MiB) is
//! such a tensor. A step there took 0.33 s, and the power of the dimension from 784 to 3,072 was 2.26 in the mean of
//! three seeds, above 2.4 for one; with `MALLOC_MMAP_MAX_=0`, which `cargo xtask` sets, it is 0.18 s and the
//! power 1.99 (seed 0, one thread of a busy machine).

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
