//! Sparse transport plans.

use rand::Rng;

use crate::assignment::Potentials;

/// Mass that goes from a source to a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// The source.
    pub source: usize,
    /// The target.
    pub target: usize,
    /// The mass, more than zero.
    pub mass: f64,
}

/// An optimal transport plan with its certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its positive entries, by source and then by target.
    pub flows: Vec<Flow>,
    /// Σ mass · cost.
    pub cost: f64,
    /// Dual potentials: u_i + v_j ≤ c_ij up to rounding, with equality wherever mass flows; so
    /// Σ a_i u_i + Σ b_j v_j = cost, which proves the optimum.
    pub potentials: Potentials,
}

impl Plan {
    /// Draws `count` pairs (source, target), each with probability proportional to its mass.
    pub fn sample(&self, count: usize, rng: &mut impl Rng) -> Vec<(usize, usize)> {
        draw(self.flows.iter().map(|f| (f.source, f.target, f.mass)), count, rng)
    }
}

/// Draws pairs with replacement, by the inverse of the cumulative masses.
pub(crate) fn draw(
    entries: impl Iterator<Item = (usize, usize, f64)>,
    count: usize,
    rng: &mut impl Rng,
) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut cumulative = Vec::new();
    let mut total = 0.0;
    for (source, target, mass) in entries {
        if mass > 0.0 {
            total += mass;
            pairs.push((source, target));
            cumulative.push(total);
        }
    }
    if pairs.is_empty() {
        return Vec::new();
    }
    let last = pairs.len() - 1;
    let draw = |_| {
        let point = rng.random::<f64>() * total;
        pairs[cumulative.partition_point(|&c| c <= point).min(last)]
    };
    (0..count).map(draw).collect()
}
