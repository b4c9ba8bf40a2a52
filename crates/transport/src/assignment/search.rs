//! State of a dense assignment search: prices of the targets and a partial matching.

use pulp::Arch;

use super::Solved;
use crate::buffer::{Aligned, padded};
use crate::geometry::Rows;
use crate::kernel::Best;
use crate::real::Real;

/// No partner.
pub(crate) const NONE: u32 = u32::MAX;

/// Prices and a partial matching under which every matched pair is the cheapest of its source:
/// `cost - price` is smallest at the partner.
#[derive(Debug)]
pub(crate) struct Search<'a, T> {
    pub(crate) arch: Arch,
    pub(crate) rows: Rows<'a, T>,
    pub(crate) sources: usize,
    pub(crate) targets: usize,
    /// Price of each target, the dual potential v; minus infinity in the padding, so that no
    /// padded column is ever cheap.
    pub(crate) price: Aligned<T>,
    /// Target of each source.
    pub(crate) target_of: Vec<u32>,
    /// Source of each target.
    pub(crate) source_of: Vec<u32>,
    pub(crate) scratch: Aligned<T>,
}

impl<'a, T: Real> Search<'a, T> {
    /// Nobody matched, at the given prices.
    pub(crate) fn new(arch: Arch, rows: Rows<'a, T>, sources: usize, prices: &[T]) -> Self {
        let targets = prices.len();
        let mut price = Aligned::filled(padded(targets), -T::INFINITY);
        price[..targets].copy_from_slice(prices);
        let scratch = Aligned::filled(rows.stride(), T::ZERO);
        Self {
            arch,
            rows,
            sources,
            targets,
            price,
            target_of: vec![NONE; sources],
            source_of: vec![NONE; targets],
            scratch,
        }
    }

    /// The two cheapest targets of a source.
    pub(crate) fn best_two(&mut self, source: usize) -> Best<T> {
        self.rows.best_two(self.arch, source, &self.price, &mut self.scratch)
    }

    /// Augmenting row reduction (Jonker & Volgenant 1987): each free source takes its cheapest
    /// target, lowers the price until its second choice is as cheap, and the source that had the
    /// target before tries next. A source that ties for a taken target waits. At most `limit`
    /// steps; what stays in `free` needs shortest augmenting paths.
    pub(crate) fn reduce(&mut self, free: &mut Vec<u32>, limit: usize) {
        let mut waiting = Vec::new();
        free.reverse();
        let mut steps = 0;
        while let Some(source) = free.pop() {
            if steps == limit {
                waiting.push(source);
                continue;
            }
            steps += 1;
            let best = self.best_two(source as usize);
            let price = self.price[best.column];
            let lower = price - (best.second - best.first);
            if lower < price {
                self.price[best.column] = lower;
                if let Some(before) = self.assign(source as usize, best.column) {
                    free.push(before as u32);
                }
            } else if self.source_of[best.column] == NONE {
                self.assign(source as usize, best.column);
            } else {
                waiting.push(source);
            }
        }
        *free = waiting;
    }

    /// Everyone is free again; prices stay.
    pub(crate) fn release(&mut self) {
        self.target_of.fill(NONE);
        self.source_of.fill(NONE);
    }

    /// Matches a pair and returns the source that had the target before.
    pub(crate) fn assign(&mut self, source: usize, target: usize) -> Option<usize> {
        let before = std::mem::replace(&mut self.source_of[target], source as u32);
        self.target_of[source] = target as u32;
        if before == NONE {
            return None;
        }
        self.target_of[before as usize] = NONE;
        Some(before as usize)
    }

    /// The matching and the prices, in double precision.
    pub(super) fn into_solved(self) -> Solved {
        let price = self.price[..self.targets].iter().map(|v| v.to_f64()).collect();
        Solved { target_of: self.target_of, price }
    }
}
