//! A spanning tree of sources and targets: a basis of the transport problem.

use super::units::Grains;

/// No node.
const NONE: u32 = u32::MAX;

/// Nodes are the sources, then the targets; the root is source 0. An arc joins each other node to
/// its parent, and carries a flow from its source to its target.
#[derive(Debug)]
pub(super) struct Tree {
    sources: usize,
    parent: Vec<u32>,
    /// Flow on the arc to the parent.
    flow: Vec<Grains>,
    depth: Vec<u32>,
    first_child: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// Buffer of walks.
    stack: Vec<u32>,
}

/// An arc (source, target) with its flow.
pub(super) type Arc = (u32, u32, Grains);

impl Tree {
    /// The tree of some arcs, which must be one.
    pub(super) fn new(sources: usize, targets: usize, arcs: &[Arc]) -> Self {
        let nodes = sources + targets;
        let mut tree = Self {
            sources,
            parent: vec![NONE; nodes],
            flow: vec![0; nodes],
            depth: vec![0; nodes],
            first_child: vec![NONE; nodes],
            next: vec![NONE; nodes],
            previous: vec![NONE; nodes],
            stack: Vec::new(),
        };
        let mut neighbours = vec![Vec::new(); nodes];
        for &(source, target, flow) in arcs {
            let target = sources as u32 + target;
            neighbours[source as usize].push((target, flow));
            neighbours[target as usize].push((source, flow));
        }
        let mut walk = vec![0];
        while let Some(node) = walk.pop() {
            for &(other, flow) in &neighbours[node as usize] {
                if other != tree.parent[node as usize] {
                    tree.attach(other, node, flow);
                    tree.depth[other as usize] = tree.depth[node as usize] + 1;
                    walk.push(other);
                }
            }
        }
        tree
    }

    /// The arcs.
    pub(super) fn arcs(&self) -> Vec<Arc> {
        let nodes =
            (0..self.parent.len() as u32).filter(|&node| self.parent[node as usize] != NONE);
        let arc = |node: u32| {
            let (parent, flow) = (self.parent[node as usize], self.flow[node as usize]);
            let (source, target) =
                if self.is_source(node) { (node, parent) } else { (parent, node) };
            (source, target - self.sources as u32, flow)
        };
        nodes.map(arc).collect()
    }

    /// Calls `visit(node, parent)` for each node but the root, parents first.
    pub(super) fn descend(&self, mut visit: impl FnMut(usize, usize)) {
        let mut walk = vec![0];
        while let Some(node) = walk.pop() {
            let mut child = self.first_child[node as usize];
            while child != NONE {
                visit(child as usize, node as usize);
                walk.push(child);
                child = self.next[child as usize];
            }
        }
    }

    fn is_source(&self, node: u32) -> bool {
        (node as usize) < self.sources
    }

    /// Brings the arc from `source` to `target` into the tree, and as much flow on it as takes an
    /// arc of the cycle that it closes down to zero; that arc leaves. Calls `moved(node)` for each
    /// node of the part that hangs elsewhere now, and returns whether that is the source's part.
    pub(super) fn pivot(
        &mut self,
        source: usize,
        target: usize,
        mut moved: impl FnMut(usize),
    ) -> bool {
        let ends = [source as u32, (self.sources + target) as u32];
        // Going up from the source's end, arcs of sources lose flow; from the target's, of targets.
        let (mut amount, mut leaving, mut side) = (Grains::MAX, NONE, 0);
        self.climb(ends, |tree, k, node| {
            let loses = tree.is_source(node) == (k == 0);
            if loses && tree.flow[node as usize] < amount {
                (amount, leaving, side) = (tree.flow[node as usize], node, k);
            }
        });
        self.climb(ends, |tree, k, node| {
            let loses = tree.is_source(node) == (k == 0);
            tree.flow[node as usize] += if loses { -amount } else { amount };
        });
        let (end, other) = (ends[side], ends[1 - side]);
        // Turn the path from this end up to the leaving arc around.
        let (mut node, mut parent, mut flow) = (end, other, amount);
        loop {
            let (old_parent, old_flow) = (self.parent[node as usize], self.flow[node as usize]);
            self.detach(node);
            self.attach(node, parent, flow);
            if node == leaving {
                break;
            }
            (node, parent, flow) = (old_parent, node, old_flow);
        }
        self.stack.push(end);
        while let Some(node) = self.stack.pop() {
            self.depth[node as usize] = self.depth[self.parent[node as usize] as usize] + 1;
            moved(node as usize);
            let mut child = self.first_child[node as usize];
            while child != NONE {
                self.stack.push(child);
                child = self.next[child as usize];
            }
        }
        side == 0
    }

    /// Climbs from both ends to where they meet, calling `visit` for each node on the way.
    fn climb(&mut self, ends: [u32; 2], mut visit: impl FnMut(&mut Self, usize, u32)) {
        let mut at = ends;
        while at[0] != at[1] {
            let deeper = usize::from(self.depth[at[0] as usize] < self.depth[at[1] as usize]);
            visit(self, deeper, at[deeper]);
            at[deeper] = self.parent[at[deeper] as usize];
        }
    }

    fn attach(&mut self, node: u32, parent: u32, flow: Grains) {
        let first = std::mem::replace(&mut self.first_child[parent as usize], node);
        if first != NONE {
            self.previous[first as usize] = node;
        }
        self.next[node as usize] = first;
        self.previous[node as usize] = NONE;
        self.parent[node as usize] = parent;
        self.flow[node as usize] = flow;
    }

    fn detach(&mut self, node: u32) {
        let (previous, next) = (self.previous[node as usize], self.next[node as usize]);
        if next != NONE {
            self.previous[next as usize] = previous;
        }
        if previous == NONE {
            self.first_child[self.parent[node as usize] as usize] = next;
        } else {
            self.next[previous as usize] = next;
        }
    }
}
