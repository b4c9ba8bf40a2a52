//! The network simplex method on the dense bipartite graph.

use pulp::Arch;

use super::tree::{Arc, Tree};
use super::units::Grains;
use crate::buffer::{Aligned, padded};
use crate::geometry::Rows;

/// A basis: a spanning tree with positive flows, and the potentials under which its arcs cost
/// nothing.
#[derive(Debug)]
pub(super) struct Simplex<'a> {
    arch: Arch,
    rows: Rows<'a, f64>,
    tree: Tree,
    /// Potential u of each source.
    source: Vec<f64>,
    /// Potential v of each target, padded by minus infinity.
    target: Aligned<f64>,
    scratch: Aligned<f64>,
    /// Reduced costs above minus this are none, to rounding.
    zero: f64,
    /// Buffer of pivots.
    moved: Vec<u32>,
}

impl<'a> Simplex<'a> {
    /// Serves the sources one after the other by what is cheapest at the given prices.
    ///
    /// Supplies and demands must be positive but for no proper part of them of equal totals.
    pub(super) fn new(
        arch: Arch,
        rows: Rows<'a, f64>,
        supply: &[Grains],
        demand: &[Grains],
        prices: &[f64],
    ) -> Self {
        let targets = demand.len();
        let mut scratch = Aligned::filled(rows.stride(), 0.0);
        let mut target = Aligned::filled(padded(targets), f64::NEG_INFINITY);
        target[..targets].copy_from_slice(prices);
        let arcs = greedy(arch, &rows, supply, demand.to_vec(), &mut target, &mut scratch);
        let tree = Tree::new(supply.len(), targets, &arcs);
        let source = vec![0.0; supply.len()];
        let mut simplex =
            Self { arch, rows, tree, source, target, scratch, zero: 0.0, moved: Vec::new() };
        simplex.fit_potentials();
        simplex
    }

    /// Pivots until no arc would lower the cost.
    pub(super) fn solve(&mut self) {
        /// Sources priced at a time.
        const BLOCK: usize = 128;
        let sources = self.source.len();
        let mut candidates = Vec::with_capacity(BLOCK);
        let mut next = 0;
        let mut idle = 0;
        while idle < sources {
            for _ in 0..BLOCK.min(sources - idle) {
                self.price(next, &mut candidates);
                next = (next + 1) % sources;
                idle += 1;
            }
            // The most promising first; a pivot changes what the others promise.
            while let Some((source, target)) = self.most_negative(&mut candidates) {
                self.pivot(source, target);
                idle = 0;
            }
        }
        // What pivots have added up to is computed once more from the costs.
        self.fit_potentials();
    }

    /// The flows, and the target potentials.
    pub(super) fn finish(self) -> (Vec<Arc>, Vec<f64>) {
        let mut arcs = self.tree.arcs();
        arcs.sort_unstable();
        let targets = arcs.iter().fold(0, |most, &(_, target, _)| most.max(target as usize + 1));
        (arcs, self.target[..targets].to_vec())
    }

    /// Notes the arc of most negative reduced cost of a source, if one is negative.
    fn price(&mut self, source: usize, candidates: &mut Vec<(u32, u32)>) {
        let best = self.rows.best_two(self.arch, source, &self.target, &mut self.scratch);
        if best.first - self.source[source] < -self.zero {
            candidates.push((source as u32, best.column as u32));
        }
    }

    /// Takes the candidate of most negative reduced cost, and drops those that are not negative.
    fn most_negative(&self, candidates: &mut Vec<(u32, u32)>) -> Option<(usize, usize)> {
        let (mut least, mut best) = (-self.zero, None);
        candidates.retain(|&(source, target)| {
            let reduced = self.reduced(source as usize, target as usize);
            if reduced < least {
                (least, best) = (reduced, Some((source, target)));
            }
            reduced < -self.zero
        });
        candidates.retain(|&candidate| Some(candidate) != best);
        best.map(|(source, target)| (source as usize, target as usize))
    }

    fn reduced(&self, source: usize, target: usize) -> f64 {
        self.rows.at(source, target) - self.source[source] - self.target[target]
    }

    fn pivot(&mut self, source: usize, target: usize) {
        let reduced = self.reduced(source, target);
        let sources = self.source.len();
        let mut moved = std::mem::take(&mut self.moved);
        let of_source = self.tree.pivot(source, target, |node| moved.push(node as u32));
        // The new arc must cost nothing, and the arcs within the part that moved still.
        let change = if of_source { reduced } else { -reduced };
        for node in moved.drain(..) {
            let node = node as usize;
            if node < sources {
                self.source[node] += change;
            } else {
                self.target[node - sources] -= change;
            }
        }
        self.moved = moved;
    }

    /// Potentials from the costs of the tree's arcs, and what rounding leaves of zero.
    fn fit_potentials(&mut self) {
        let sources = self.source.len();
        let Self { rows, tree, source, target, .. } = self;
        source[0] = 0.0;
        let mut largest: f64 = 0.0;
        tree.descend(|node, parent| {
            if node < sources {
                let cost = rows.at(node, parent - sources);
                source[node] = cost - target[parent - sources];
                largest = largest.max(cost.abs()).max(source[node].abs());
            } else {
                let cost = rows.at(parent, node - sources);
                target[node - sources] = cost - source[parent];
                largest = largest.max(cost.abs()).max(target[node - sources].abs());
            }
        });
        self.zero = 16.0 * f64::EPSILON * largest;
    }
}

/// A first basis: each source in turn is served by its cheapest targets that still receive.
/// Each arc uses up its source or its target, so together they are a spanning tree.
fn greedy(
    arch: Arch,
    rows: &Rows<'_, f64>,
    supply: &[Grains],
    mut demand: Vec<Grains>,
    price: &mut Aligned<f64>,
    scratch: &mut Aligned<f64>,
) -> Vec<Arc> {
    let mut arcs = Vec::with_capacity(supply.len() + demand.len());
    for (source, &supply) in supply.iter().enumerate() {
        let mut left = supply;
        while left > 0 {
            let target = rows.best_two(arch, source, price, scratch).column;
            let amount = left.min(demand[target]);
            if amount == 0 {
                break;
            }
            arcs.push((source as u32, target as u32, amount));
            left -= amount;
            demand[target] -= amount;
            if demand[target] == 0 {
                price[target] = f64::NEG_INFINITY;
            }
        }
    }
    arcs
}
