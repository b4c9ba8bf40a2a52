//! Random streams that give the same draws on any machine, for any number of threads.
//!
//! A generator is a pure function of (seed, stream name, counters), so that nothing has to be
//! stored to draw again. The mixing is that of `maxlik_tensor::Seeds`: with `mix` the SplitMix64
//! step and `fnv` the 64-bit FNV-1a hash of the name's bytes,
//!
//! ```text
//! key(seed, name)   = mix(mix(seed ^ 0x6d61786c696b0000) ^ fnv(name))
//! at(key, counter)  = mix(key + counter * 0x9e3779b97f4a7c15)     (mod 2^64)
//! ```
//!
//! and the generator is ChaCha8 seeded by `seed_from_u64(at(key, counter))`.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// A named stream of random generators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream `name` of the root seed `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        let root = mix(seed ^ 0x6d61_786c_696b_0000);
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| {
            (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { key: mix(root ^ hash) }
    }

    /// The stream below this one for `counter`: `stream.child(epoch).rng(index)` draws for a row
    /// of an epoch.
    #[must_use]
    pub fn child(&self, counter: u64) -> Self {
        Self { key: self.at(counter) }
    }

    /// The generator for `counter`.
    #[must_use]
    pub fn rng(&self, counter: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.at(counter))
    }

    fn at(&self, counter: u64) -> u64 {
        mix(self.key.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// One step of SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number
/// generators").
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A uniform number of the open interval (0, 1): `(k + 1/2) / 2^52` with `k` the upper 52 bits of
/// the next word, which double precision holds exactly. Neither 0 nor 1 occurs.
pub fn open_unit(rng: &mut ChaCha8Rng) -> f64 {
    const SCALE: f64 = 1.0 / (1_u64 << 52) as f64;
    ((rng.next_u64() >> 12) as f64 + 0.5) * SCALE
}

/// A uniform integer of `0..bound`, by Lemire's multiplication with rejection (2019, "Fast random
/// integer generation in an interval", algorithm 5), hence without bias. `0` for a bound of 0.
pub fn below(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

/// A standard normal number.
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// A uniform permutation of `0..count`, by Fisher and Yates from the last place down: for `i`
/// from `count - 1` to 1, exchange places `i` and `below(i + 1)`.
#[must_use]
pub fn permutation(count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, below(rng, i as u64 + 1) as usize);
    }
    order
}
