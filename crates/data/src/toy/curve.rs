//! Curves of the plane with normal noise.

use super::quadrature::{LN_2PI, ORDER, composite};
use std::f64::consts::PI;

/// The density `p(x) = Σ_c ∫ w(t) N(x; c(t), s² I) dt` around parametrised curves `c`, by
/// Gauss–Legendre quadrature on panels so short that in the box of its plots the error of `ln p`
/// is below 1e-9.
///
/// `ln p` stays exact where `p` underflows, since the largest term is taken out first; panels that
/// cannot matter at a point (less than e^-45 of the total) are passed over.
#[derive(Debug)]
pub(super) struct NoisyCurves {
    panels: Vec<Panel>,
    sd: f64,
}

#[derive(Debug)]
struct Panel {
    centre: [f64; 2],
    /// All places of the panel lie within this distance of the centre.
    radius: f64,
    log_weight: f64,
    nodes: [Place; ORDER],
}

#[derive(Debug, Clone, Copy)]
struct Place {
    at: [f64; 2],
    weight: f64,
}

/// A curve `c(t)` with the weight `w(t)` for `t` in `range`; the weights of all curves together
/// integrate to 1.
pub(super) struct Curve {
    pub(super) range: [f64; 2],
    pub(super) panels: usize,
    pub(super) place: fn(f64) -> [f64; 2],
    pub(super) weight: fn(f64) -> f64,
}

impl NoisyCurves {
    pub(super) fn new(sd: f64, curves: &[Curve]) -> Self {
        let panels = curves.iter().flat_map(|curve| {
            let nodes = composite(curve.range[0], curve.range[1], curve.panels);
            let places: Vec<Place> = nodes
                .iter()
                .map(|node| Place {
                    at: (curve.place)(node.at),
                    weight: node.weight * (curve.weight)(node.at),
                })
                .collect();
            let (chunks, _) = places.as_chunks::<ORDER>();
            chunks.iter().map(Panel::new).collect::<Vec<_>>()
        });
        Self { panels: panels.collect(), sd }
    }

    pub(super) fn log_density_at(&self, x: [f64; 2]) -> f64 {
        let half_precision = 0.5 / (self.sd * self.sd);
        // What a panel gives lies between its weight at its farthest and at its nearest place.
        let surely = |panel: &Panel| {
            let far = distance(x, panel.centre) + panel.radius;
            panel.log_weight - half_precision * far * far
        };
        let at_most = |panel: &Panel| {
            let near = (distance(x, panel.centre) - panel.radius).max(0.0);
            panel.log_weight - half_precision * near * near
        };
        let floor = self.panels.iter().map(surely).fold(f64::NEG_INFINITY, f64::max);
        let near = || self.panels.iter().filter(|p| at_most(p) >= floor - 45.0);
        let terms = || {
            near()
                .flat_map(|panel| &panel.nodes)
                .map(|place| (place.weight, -half_precision * square(x, place.at)))
        };
        let largest = terms().map(|(_, e)| e).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = terms().map(|(w, e)| w * (e - largest).exp()).sum();
        largest + sum.ln() - LN_2PI - 2.0 * self.sd.ln()
    }
}

impl Panel {
    fn new(nodes: &[Place; ORDER]) -> Self {
        let mean = |axis: usize| nodes.iter().map(|p| p.at[axis]).sum::<f64>() / ORDER as f64;
        let centre = [mean(0), mean(1)];
        let radius = nodes.iter().map(|p| distance(p.at, centre)).fold(0.0, f64::max);
        Self {
            centre,
            radius,
            log_weight: nodes.iter().map(|p| p.weight).sum::<f64>().ln(),
            nodes: *nodes,
        }
    }
}

fn square(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    square(a, b).sqrt()
}

/// A half turn in radians, the range of a half circle.
pub(super) const HALF_TURN: [f64; 2] = [0.0, PI];
