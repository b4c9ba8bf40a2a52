//! Shortest augmenting paths that stay close to zero length, as they do at nearly right prices.

use super::polish::Polish;
use super::search::NONE;

/// A target that a search has reached.
#[derive(Clone, Copy, Debug)]
struct Reached {
    target: u32,
    /// Source from which it was reached.
    parent: u32,
    distance: f64,
    closed: bool,
}

/// A search from one source: the targets reached, and where to find them.
#[derive(Debug)]
struct Tree {
    reached: Vec<Reached>,
    /// Place of a target in `reached`, or `NONE`.
    place: Vec<u32>,
}

impl Polish<'_, '_> {
    /// Matches free sources along shortest augmenting paths, looking only at targets that can be on
    /// a path shorter than some reach; returns the sources that need longer ones.
    ///
    /// Each path found is a shortest one: all targets within the reach are looked at.
    pub(super) fn augment_nearby(&mut self, free: &[u32]) -> Vec<u32> {
        let mut tree = Tree { reached: Vec::new(), place: vec![NONE; self.search.targets] };
        let resolution = self.filter.resolution();
        let mut far = Vec::new();
        for &source in free {
            let reaches = [1.0, 16.0, 256.0].map(|factor| factor * resolution);
            let found = reaches.into_iter().any(|reach| {
                let end = self.grow(&mut tree, source as usize, reach);
                if let Some(end) = end {
                    self.adopt(&tree, source as usize, end);
                }
                tree.clear();
                end.is_some()
            });
            if !found {
                far.push(source);
            }
        }
        far
    }

    /// Dijkstra's search from a source, up to `reach`; the place of the nearest target without
    /// partner, if there is one.
    fn grow(&mut self, tree: &mut Tree, start: usize, reach: f64) -> Option<usize> {
        /// From here on the dense search is quicker.
        const MANY: usize = 512;
        let best = self.filter.best_two(&self.search.price, start, &mut self.scratch);
        let (mut source, mut at, mut so_far) = (start, best.column, 0.0);
        let mut base = -best.first;
        loop {
            self.filter.near(source, at, reach - so_far, &mut self.scratch);
            for &target in &self.scratch.near {
                // Rounding may put a tight pair a hair below the distance reached already.
                let reduced = self.filter.reduced(&self.search.price, source, target as usize);
                let distance = (base + reduced).max(so_far);
                if distance <= reach {
                    tree.reach(target, source as u32, distance);
                }
            }
            let open = (0..).zip(&tree.reached).filter(|(_, r)| !r.closed);
            let taken = |r: &Reached| self.search.source_of[r.target as usize] != NONE;
            let (place, next) = open.min_by(|(_, a), (_, b)| {
                a.distance.total_cmp(&b.distance).then_with(|| taken(a).cmp(&taken(b)))
            })?;
            if !taken(next) {
                return Some(place);
            }
            if tree.reached.len() > MANY {
                return None;
            }
            at = next.target as usize;
            so_far = next.distance;
            source = self.search.source_of[at] as usize;
            base = so_far - self.filter.reduced(&self.search.price, source, at);
            tree.reached[place].closed = true;
        }
    }

    /// Updates the prices by a search and turns its path over.
    fn adopt(&mut self, tree: &Tree, start: usize, end: usize) {
        let length = tree.reached[end].distance;
        for reached in tree.reached.iter().filter(|r| r.closed) {
            let target = reached.target as usize;
            let price = self.search.price[target] - (length - reached.distance);
            self.search.price[target] = price;
            self.filter.set_price(target, price);
        }
        let mut target = tree.reached[end].target;
        loop {
            let source = tree.reached[tree.place[target as usize] as usize].parent as usize;
            let next = std::mem::replace(&mut self.search.target_of[source], target);
            self.search.source_of[target as usize] = source as u32;
            if source == start {
                break;
            }
            target = next;
        }
    }
}

impl Tree {
    /// Notes a way to a target, if it is shorter than the one known.
    fn reach(&mut self, target: u32, parent: u32, distance: f64) {
        let place = &mut self.place[target as usize];
        if *place == NONE {
            *place = self.reached.len() as u32;
            self.reached.push(Reached { target, parent, distance, closed: false });
            return;
        }
        let known = &mut self.reached[*place as usize];
        if distance < known.distance && !known.closed {
            (known.parent, known.distance) = (parent, distance);
        }
    }

    fn clear(&mut self) {
        for reached in self.reached.drain(..) {
            self.place[reached.target as usize] = NONE;
        }
    }
}
