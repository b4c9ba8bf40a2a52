//! ε-scaling auction (Bertsekas 1988), cut short: it only has to find good prices.

use super::search::Search;
use crate::real::Real;

/// First ε as a share of the mean distance between a source's cheapest and average target.
const FIRST: f64 = 0.1;
/// Last ε, as a share of the same.
const LAST: f64 = 0.001;
/// Ratio of one ε to the next.
const RATIO: f64 = 4.0;
/// A phase ends when only this share of the sources is free: the last few would outbid each other
/// for long, and augmenting paths serve them better.
const LEFT: f64 = 0.005;
/// Bids of a phase for each source, at most: costs on which bidding does not help end here.
const BIDS: usize = 8;

impl<T: Real> Search<'_, T> {
    /// Moves the prices towards optimal ones. Leaves nobody matched.
    pub(crate) fn scale_prices(&mut self) {
        let spread = self.spread();
        let last = spread * LAST;
        let mut epsilon = spread * FIRST;
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return;
        }
        loop {
            let done = epsilon <= last;
            self.release();
            let left = LEFT * self.sources as f64;
            self.bid(T::from_f64(epsilon), left as usize);
            if done {
                break;
            }
            epsilon = (epsilon / RATIO).max(last);
        }
        self.release();
    }

    /// One phase: sources bid in turn until at most `left` are free.
    fn bid(&mut self, epsilon: T, left: usize) {
        let mut bids = BIDS * self.sources;
        let mut round: Vec<u32> = (0..self.sources as u32).collect();
        let mut next = Vec::new();
        while round.len() > left {
            let mut waiting = round.len();
            for &source in &round {
                let best = self.best_two(source as usize);
                self.price[best.column] -= best.second - best.first + epsilon;
                waiting -= 1;
                if let Some(before) = self.assign(source as usize, best.column) {
                    next.push(before as u32);
                }
                bids -= 1;
                if bids == 0 || waiting + next.len() <= left {
                    return;
                }
            }
            std::mem::swap(&mut round, &mut next);
            next.clear();
        }
    }

    /// Mean over some sources of the average reduced cost less the smallest.
    fn spread(&mut self) -> f64 {
        const SAMPLE: usize = 64;
        let step = self.sources.div_ceil(SAMPLE);
        let mut sum = 0.0;
        let mut count = 0.0;
        for source in (0..self.sources).step_by(step) {
            let row = self.rows.row(self.arch, source, &mut self.scratch);
            let reduced =
                row.iter().zip(&self.price[..self.targets]).map(|(&c, &v)| (c - v).to_f64());
            let (total, least) = reduced
                .fold((0.0, f64::INFINITY), |(total, least): (f64, f64), w| {
                    (total + w, least.min(w))
                });
            sum += total / self.targets as f64 - least;
            count += 1.0;
        }
        sum / count
    }
}
