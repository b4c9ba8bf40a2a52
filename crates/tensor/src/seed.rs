//! One root seed, many independent named streams.
//!
//! A draw is a pure function of (root seed, stream name, step): nothing has to be stored to resume
//! a run bit for bit, and no draw depends on how many others came before it.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::{Mutex, PoisonError};

/// A tree of seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    key: u64,
}

impl Seeds {
    /// The root of all streams of a run.
    #[must_use]
    pub fn new(root: u64) -> Self {
        Self { key: mix(root ^ 0x6d61_786c_696b_0000) }
    }

    /// The stream of that name, for example `init`, `noise` or `probes`.
    #[must_use]
    pub fn stream(&self, name: &str) -> Self {
        // FNV-1a: the same on every machine, unlike the standard library's hasher.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { key: mix(self.key ^ hash) }
    }

    /// The seed of step `step` of this stream.
    #[must_use]
    pub fn at(&self, step: u64) -> u64 {
        mix(self.key.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A generator for host-side draws of step `step`.
    #[must_use]
    pub fn rng(&self, step: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.at(step))
    }

    /// Seeds LibTorch's global generator for step `step`. A training loop calls it before each
    /// step, so that dropout, noise and probes of that step can be drawn again.
    pub fn seed_torch(&self, step: u64) {
        tch::manual_seed(self.at(step).cast_signed());
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number
/// generators"): a bijection of the 64-bit words in which every input bit moves every output bit.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

static GENERATOR: Mutex<()> = Mutex::new(());

/// Seeds LibTorch's global generator and runs `draw` while no other caller of this function can
/// touch it: what tests and samplers on several threads need.
pub fn with_seed<T>(seed: u64, draw: impl FnOnce() -> T) -> T {
    let _lock = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed.cast_signed());
    draw()
}
