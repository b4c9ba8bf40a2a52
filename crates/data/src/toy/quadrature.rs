//! Boxes, grids and Gauss–Legendre quadrature on them.

use ndarray::Array2;
use std::f64::consts::PI;

/// A box of the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Least and largest first coordinate.
    pub x: [f64; 2],
    /// Least and largest second coordinate.
    pub y: [f64; 2],
}

/// Cell centres of a regular grid on a box: to draw a density, or to integrate it by the midpoint
/// rule, `sum(exp(ln p)) * cell_area`.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The centres, `[columns * rows, 2]`: from the lower left, along x first.
    pub points: Array2<f64>,
    /// Cells along x, and along y.
    pub shape: [usize; 2],
    /// Area of one cell.
    pub cell_area: f64,
}

impl Bounds {
    /// The grid of `columns` × `rows` cells on this box.
    #[must_use]
    pub fn grid(&self, columns: usize, rows: usize) -> Grid {
        let step_x = (self.x[1] - self.x[0]) / columns.max(1) as f64;
        let step_y = (self.y[1] - self.y[0]) / rows.max(1) as f64;
        let points = Array2::from_shape_fn((columns * rows, 2), |(i, axis)| {
            if axis == 0 {
                self.x[0] + step_x * ((i % columns) as f64 + 0.5)
            } else {
                self.y[0] + step_y * ((i / columns) as f64 + 0.5)
            }
        });
        Grid { points, shape: [columns, rows], cell_area: step_x * step_y }
    }
}

/// A place and its weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) at: f64,
    pub(crate) weight: f64,
}

/// Gauss–Legendre nodes and weights of `order` on [-1, 1], by Newton's method on the Legendre
/// polynomial from its usual trigonometric first guess; exact for polynomials of degree
/// `2 order - 1`.
pub(crate) fn gauss_legendre(order: usize) -> Vec<Node> {
    let n = order as f64;
    let node = |i: usize| {
        let mut x = -(PI * (i as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        // Newton converges quadratically from here: five steps reach the last bit, ten are safe.
        for _ in 0..10 {
            let (mut previous, mut value) = (1.0, x);
            for k in 2..=order {
                let k = k as f64;
                let next = ((2.0 * k - 1.0) * x * value - (k - 1.0) * previous) / k;
                previous = value;
                value = next;
            }
            slope = n * (x * value - previous) / (x * x - 1.0);
            x -= value / slope;
        }
        Node { at: x, weight: 2.0 / ((1.0 - x * x) * slope * slope) }
    };
    (0..order).map(node).collect()
}

/// Nodes of `panels` equal panels of [a, b], each with the 16-point rule, panel after panel.
pub(crate) fn composite(a: f64, b: f64, panels: usize) -> Vec<Node> {
    let rule = gauss_legendre(ORDER);
    let half = (b - a) / (2.0 * panels as f64);
    let panel = |p: usize| {
        let centre = a + half * (2.0 * p as f64 + 1.0);
        rule.iter()
            .map(move |node| Node { at: centre + half * node.at, weight: half * node.weight })
    };
    (0..panels).flat_map(panel).collect()
}

/// Nodes of a panel of [`composite`].
pub(crate) const ORDER: usize = 16;

/// `-∫∫ p ln p` over a box, with `panels` of 16 × 16 nodes along x and y.
pub(crate) fn entropy(
    log_density: impl Fn([f64; 2]) -> f64,
    bounds: Bounds,
    panels: [usize; 2],
) -> f64 {
    let along_x = composite(bounds.x[0], bounds.x[1], panels[0]);
    let along_y = composite(bounds.y[0], bounds.y[1], panels[1]);
    let mut total = 0.0;
    for x in &along_x {
        let line: f64 =
            along_y.iter().map(|y| y.weight * surprise(log_density([x.at, y.at]))).sum();
        total += x.weight * line;
    }
    total
}

/// `-p ln p`, which is 0 where `p` is.
pub(crate) fn surprise(log_density: f64) -> f64 {
    if log_density == f64::NEG_INFINITY { 0.0 } else { -log_density * log_density.exp() }
}

/// `ln Σ exp(terms)` without overflow.
pub(crate) fn log_sum_exp<const N: usize>(terms: [f64; N]) -> f64 {
    let largest = terms.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|term| (term - largest).exp()).sum();
    largest + sum.ln()
}

/// `ln(2π)`.
pub(crate) const LN_2PI: f64 = 1.837_877_066_409_345_5;
