//! From a matching and prices that are nearly right to exact ones.

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::buffer::worth_a_thread;

use super::filter::{Filter, Scratch};
use super::search::{NONE, Search};

/// An exact search that looks at costs through a [`Filter`].
#[derive(Debug)]
pub(crate) struct Polish<'a, 'g> {
    pub(super) search: Search<'a, f64>,
    pub(super) filter: Filter<'a, 'g>,
    pub(super) scratch: Scratch,
}

impl<'a, 'g> Polish<'a, 'g> {
    /// A search over the true costs, with a matching and prices that prove it nearly optimal.
    pub(crate) fn new(search: Search<'a, f64>, filter: Filter<'a, 'g>) -> Self {
        Self { search, filter, scratch: Scratch::default() }
    }

    /// Makes the prices exact for the matching where it is optimal, and mends it where it is not.
    pub(crate) fn finish(mut self) -> Search<'a, f64> {
        let free = self.correct_prices();
        let far = self.augment_nearby(&free);
        self.search.augment(&far);
        self.search
    }

    /// Lowers prices until every matched pair is the cheapest of its source, by label correction:
    /// where source i prefers target j to its own, j gets as much dearer as to lose the advantage,
    /// and the source of j is looked at in turn. That ends unless the matching is not optimal;
    /// sources that come up again and again are freed, and returned.
    fn correct_prices(&mut self) -> Vec<u32> {
        /// Visits after which a source is freed.
        const VISITS: u8 = 20;
        let mut free = Vec::new();
        let mut visits = vec![0u8; self.search.sources];
        let mut queue = VecDeque::from(self.dissatisfied());
        let mut waiting = vec![false; self.search.sources];
        queue.iter().for_each(|&source| waiting[source as usize] = true);
        let slack = self.rounding();
        while let Some(source) = queue.pop_front() {
            let source = source as usize;
            waiting[source] = false;
            let own = self.search.target_of[source] as usize;
            self.filter.near(source, own, 0.0, &mut self.scratch);
            let value = self.filter.reduced(&self.search.price, source, own);
            visits[source] += 1;
            if visits[source] > VISITS {
                self.search.target_of[source] = NONE;
                self.search.source_of[own] = NONE;
                free.push(source as u32);
                continue;
            }
            for &target in &self.scratch.near {
                let target = target as usize;
                let other = self.filter.reduced(&self.search.price, source, target);
                if other >= value - slack {
                    continue;
                }
                let price = self.search.price[target] - (value - other);
                self.search.price[target] = price;
                self.filter.set_price(target, price);
                let next = self.search.source_of[target];
                if next != NONE && !waiting[next as usize] {
                    waiting[next as usize] = true;
                    queue.push_back(next);
                }
            }
        }
        free
    }

    /// Sources that prefer another target to their own.
    fn dissatisfied(&self) -> Vec<u32> {
        let Self { search, filter, .. } = self;
        let slack = self.rounding();
        let prefers = |scratch: &mut Scratch, (source, &own): (usize, &u32)| {
            let own = own as usize;
            filter.near(source, own, 0.0, scratch);
            let value = filter.reduced(&search.price, source, own) - slack;
            let cheaper =
                |&target: &u32| filter.reduced(&search.price, source, target as usize) < value;
            scratch.near.iter().any(cheaper).then_some(source as u32)
        };
        let sources = search
            .target_of
            .par_iter()
            .enumerate()
            .with_min_len(worth_a_thread(4 * search.targets));
        sources.map_init(Scratch::default, prefers).flatten_iter().collect()
    }

    /// What costs and prices of this size lose to rounding; smaller gains are none.
    fn rounding(&self) -> f64 {
        4.0 * f64::EPSILON * self.filter.magnitude()
    }
}
