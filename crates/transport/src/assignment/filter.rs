//! Truly cheap targets of a source, found through single-precision costs.

use pulp::Arch;

use crate::buffer::Aligned;
use crate::geometry::{Geometry, Rows};
use crate::kernel::{Best, best_two, collect};

/// Single-precision costs whose distance from the true ones is bounded: what is not nearly
/// cheapest there cannot be cheapest here, so that only few true costs are ever computed.
#[derive(Debug)]
pub(crate) struct Filter<'a, 'g> {
    arch: Arch,
    geometry: &'a Geometry<'g>,
    /// True costs times `scale`, up to an offset of the row.
    rows: Rows<'a, f32>,
    /// Prices, scaled.
    price: Aligned<f32>,
    scale: f64,
    /// Bound on the error of a scaled cost, and on the scaled costs.
    error: f64,
    largest: f64,
    /// Largest scaled price so far.
    dearest: f64,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    row: Aligned<f32>,
    /// Targets found near.
    pub(crate) near: Vec<u32>,
}

impl<'a, 'g> Filter<'a, 'g> {
    /// Rows of costs times `scale`, each within `error` of the true ones up to an offset of the row.
    pub(crate) fn new(
        arch: Arch,
        geometry: &'a Geometry<'g>,
        rows: Rows<'a, f32>,
        price: Aligned<f32>,
        (scale, error, largest): (f64, f64, f64),
    ) -> Self {
        let finite = price.iter().filter(|p| p.is_finite());
        let dearest = finite.fold(0.0, |most: f64, p| most.max(f64::from(p.abs())));
        Self { arch, geometry, rows, price, scale, error, largest, dearest }
    }

    /// Mirrors a new price.
    pub(crate) fn set_price(&mut self, target: usize, price: f64) {
        let scaled = price * self.scale;
        self.dearest = self.dearest.max(scaled.abs());
        self.price[target] = scaled as f32;
    }

    /// How far a reduced cost may be from the scaled true one: the error of the cost, the rounding
    /// of the price and of the difference, and as much again for good measure.
    fn margin(&self) -> f64 {
        self.error + f64::from(f32::EPSILON) * (2.0 * self.dearest + self.largest)
    }

    /// [`Filter::margin`] in the units of the true costs.
    pub(crate) fn resolution(&self) -> f64 {
        self.margin() / self.scale
    }

    /// Bound on prices and costs.
    pub(crate) fn magnitude(&self) -> f64 {
        (self.dearest + self.largest) / self.scale
    }

    /// The true cost of a pair less the price.
    pub(crate) fn reduced(&self, prices: &[f64], source: usize, target: usize) -> f64 {
        self.geometry.cost(self.arch, source, target) - prices[target]
    }

    /// The two cheapest targets at the true costs and `prices`.
    pub(crate) fn best_two(
        &self,
        prices: &[f64],
        source: usize,
        scratch: &mut Scratch,
    ) -> Best<f64> {
        scratch.row.resize(self.rows.stride());
        let row = self.rows.row(self.arch, source, &mut scratch.row);
        let second = f64::from(best_two(self.arch, row, &self.price).second);
        // Two targets are at most `second + margin`, truly; so what is above `second + 2 margin`
        // here is neither first nor second there.
        scratch.near.clear();
        let threshold = up(second + 2.0 * self.margin());
        collect(self.arch, row, &self.price, threshold, &mut scratch.near);
        let mut best = Best { first: f64::INFINITY, column: 0, second: f64::INFINITY };
        for &target in &scratch.near {
            let target = target as usize;
            let value = self.reduced(prices, source, target);
            if value < best.first {
                best = Best { first: value, column: target, second: best.first };
            } else {
                best.second = best.second.min(value);
            }
        }
        best
    }

    /// Leaves in `scratch.near` at least all targets whose true reduced cost is within `reach` of
    /// that of `target`.
    pub(crate) fn near(&self, source: usize, target: usize, reach: f64, scratch: &mut Scratch) {
        scratch.row.resize(self.rows.stride());
        let row = self.rows.row(self.arch, source, &mut scratch.row);
        let here = f64::from(row[target] - self.price[target]);
        scratch.near.clear();
        let threshold = up(here + reach * self.scale + 2.0 * self.margin());
        collect(self.arch, row, &self.price, threshold, &mut scratch.near);
    }
}

/// The number in single precision, not below itself.
fn up(value: f64) -> f32 {
    let single = value as f32;
    single + f32::EPSILON * single.abs()
}
