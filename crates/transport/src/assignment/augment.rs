//! Shortest augmenting paths (Jonker & Volgenant 1987), every step over a whole row.

use super::search::{NONE, Search};
use crate::buffer::Aligned;
use crate::kernel::Relax;
use crate::real::Real;

impl<T: Real> Search<'_, T> {
    /// Matches the free sources one by one, each along a shortest path of reduced costs to a
    /// target without partner, and updates the prices so that all matched pairs stay cheapest.
    pub(crate) fn augment(&mut self, free: &[u32]) {
        if free.is_empty() {
            return;
        }
        let padded = self.price.len();
        // Prices with closed columns at minus infinity: these can no longer be reached.
        let mut open = Aligned::filled(padded, T::ZERO);
        open.copy_from_slice(&self.price);
        let mut distance = Aligned::filled(padded, T::INFINITY);
        let mut parent = Aligned::filled(padded, T::ZERO);
        let mut taken = Aligned::filled(padded, T::INFINITY);
        let mut vacant: Vec<u32> =
            (0..self.targets as u32).filter(|&j| self.source_of[j as usize] == NONE).collect();
        for &j in &vacant {
            taken[j as usize] = T::ZERO;
        }
        let mut closed: Vec<(u32, T)> = Vec::new();
        for &start in free {
            distance.fill(T::INFINITY);
            let mut source = start as usize;
            let mut base = T::ZERO;
            let length = loop {
                let relax = Relax {
                    price: &open,
                    base,
                    row: T::from_index(source),
                    distance: &mut distance,
                    parent: &mut parent,
                    taken: &taken,
                };
                let frontier = self.rows.relax(self.arch, source, relax, &mut self.scratch);
                // On a tie the search ends: among equal costs this saves most of the steps.
                if frontier.to_free <= frontier.distance {
                    break frontier.to_free;
                }
                let column = frontier.column;
                closed.push((column as u32, frontier.distance));
                open[column] = -T::INFINITY;
                distance[column] = T::INFINITY;
                source = self.source_of[column] as usize;
                base = frontier.distance - (self.rows.at(source, column) - self.price[column]);
            };
            for (column, reached) in closed.drain(..) {
                let column = column as usize;
                self.price[column] -= length - reached;
                open[column] = self.price[column];
            }
            let reached = |&(_, j): &(usize, u32)| distance[j as usize] == length;
            let Some((place, _)) = (0..).zip(vacant.iter().copied()).find(reached) else {
                break;
            };
            let end = vacant.swap_remove(place) as usize;
            taken[end] = T::INFINITY;
            self.flip(start as usize, end, &parent);
        }
    }

    /// Turns the path from `start` to `end` over: each source on it takes the target it led to.
    fn flip(&mut self, start: usize, end: usize, parent: &[T]) {
        let mut target = end;
        loop {
            let source = parent[target].index();
            let next = std::mem::replace(&mut self.target_of[source], target as u32);
            self.source_of[target] = source as u32;
            if source == start {
                break;
            }
            target = next as usize;
        }
    }
}
