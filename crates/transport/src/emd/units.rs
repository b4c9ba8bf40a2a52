//! Masses as whole numbers of units, and the perturbation that keeps the simplex method moving.

use crate::mass::Masses;

/// Units in the total mass: 2^52.
const TOTAL: i64 = 1 << 52;

/// A number of grains, or a flow of them.
pub(super) type Grains = i128;

/// Both sides' masses in units; the totals are the same number.
#[derive(Debug)]
pub(super) struct Units {
    source: Vec<i64>,
    target: Vec<i64>,
    /// Mass of a unit.
    unit: f64,
    /// Units are 2^shift grains.
    shift: u32,
}

impl Units {
    /// Splits masses of equal totals.
    pub(super) fn new(masses: &Masses) -> Self {
        let (total, _) = masses.totals();
        // The grains added below must come to less than half a unit.
        let added = masses.source.len() as u128 * masses.target.len() as u128;
        let shift = added.next_power_of_two().ilog2() + 2;
        Self {
            source: split(&masses.source),
            target: split(&masses.target),
            unit: total / TOTAL as f64,
            shift,
        }
    }

    /// Supplies and demands in grains, perturbed: m more for each of n sources, one more for each of
    /// m targets, and the rest for the last target. No sources' supplies then add up to some targets'
    /// demands but all to all (Orden 1956): every basic flow is positive, points without mass take
    /// part, and every step of the simplex method makes progress.
    pub(super) fn grains(&self) -> (Vec<Grains>, Vec<Grains>) {
        let targets = self.target.len() as Grains;
        let grains = |&units: &i64| Grains::from(units) << self.shift;
        let supply: Vec<Grains> = self.source.iter().map(|units| grains(units) + targets).collect();
        let mut demand: Vec<Grains> = self.target.iter().map(|units| grains(units) + 1).collect();
        if let Some(last) = demand.last_mut() {
            *last += supply.len() as Grains * targets - targets;
        }
        (supply, demand)
    }

    /// The mass that the grains of a basic flow stand for: the nearest number of units is the flow
    /// between the masses themselves.
    pub(super) fn mass(&self, grains: Grains) -> f64 {
        let half = 1 << (self.shift - 1);
        ((grains + half) >> self.shift) as f64 * self.unit
    }
}

/// Rounds the cumulative masses, so that the parts add up to [`TOTAL`], and each is off by one unit
/// at most.
fn split(masses: &[f64]) -> Vec<i64> {
    let total: f64 = masses.iter().sum();
    let last = masses.iter().rposition(|&mass| mass > 0.0);
    let (mut before, mut cumulative) = (0, 0.0);
    let part = |(i, mass): (usize, &f64)| {
        cumulative += mass;
        // Rounding of the sum may lift it above the total by a hair.
        let share = ((cumulative / total * TOTAL as f64).round() as i64).min(TOTAL);
        let now = if Some(i) >= last { TOTAL } else { share };
        now - std::mem::replace(&mut before, now)
    };
    masses.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::{TOTAL, split};

    #[test]
    fn parts_add_up_and_zeros_stay_zero() {
        for masses in [
            vec![1.0],
            vec![0.1; 7],
            vec![0.0, 1e-300, 3.0, 0.0],
            vec![1.0 / 3.0, 0.0, 2.0 / 3.0, 0.0],
        ] {
            let parts = split(&masses);
            assert_eq!(parts.iter().sum::<i64>(), TOTAL);
            for (part, mass) in parts.iter().zip(&masses) {
                assert!(*part >= 0 && (*mass > 0.0 || *part == 0), "{part} units for {mass}");
            }
        }
    }
}
