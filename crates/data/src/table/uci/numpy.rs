//! The draws of `numpy.random.RandomState`, which decide the published split of POWER.

/// NumPy's legacy generator: MT19937 (Matsumoto and Nishimura, 1998).
#[derive(Debug)]
pub(super) struct RandomState {
    state: [u32; LENGTH],
    next: usize,
}

const LENGTH: usize = 624;

impl RandomState {
    /// `numpy.random.RandomState(seed)`.
    pub(super) fn new(seed: u32) -> Self {
        let mut state = [seed; LENGTH];
        for i in 1..LENGTH {
            let previous = state[i - 1];
            state[i] =
                (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: LENGTH }
    }

    fn word(&mut self) -> u32 {
        if self.next == LENGTH {
            for i in 0..LENGTH {
                let upper = self.state[i] & 0x8000_0000;
                let joined = upper | (self.state[(i + 1) % LENGTH] & 0x7fff_ffff);
                let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + 397) % LENGTH] ^ (joined >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// `rand()`: uniform in [0, 1) with 53 bits.
    pub(super) fn rand(&mut self) -> f64 {
        let upper = f64::from(self.word() >> 5);
        let lower = f64::from(self.word() >> 6);
        (upper * 67_108_864.0 + lower) / 9_007_199_254_740_992.0
    }

    /// The order in which `shuffle` leaves `count` rows.
    pub(super) fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            let j = self.up_to(i as u32);
            order.swap(i, j as usize);
        }
        order
    }

    /// Uniform in `0..=most`, by rejection under the smallest covering mask.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX >> most.leading_zeros().min(31);
        loop {
            let word = self.word() & mask;
            if word <= most {
                return word;
            }
        }
    }
}
