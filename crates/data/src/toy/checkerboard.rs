//! A uniform density on the black squares of a 4×4 board.

use super::{Bounds, ToyDensity};
use crate::random::{below, open_unit};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::LN_2;

/// Squares of side 2 on `[-4, 4)²`; black are those with `⌊x/2⌋ + ⌊y/2⌋` even. The eight of them
/// have area 32, so `ln p = -ln 32` on them and minus infinity elsewhere; entropy `ln 32`.
#[derive(Debug)]
pub(super) struct Checkerboard;

impl ToyDensity for Checkerboard {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let column = below(rng, 4) as i64 - 2;
        let row = 2 * below(rng, 2) as i64 - 2 + (column & 1);
        let x = 2.0 * (column as f64 + open_unit(rng));
        [x, 2.0 * (row as f64 + open_unit(rng))]
    }

    fn log_density_at(&self, [x, y]: [f64; 2]) -> f64 {
        let inside = |v: f64| (-4.0..4.0).contains(&v);
        let black = ((x / 2.0).floor() + (y / 2.0).floor()) % 2.0 == 0.0;
        if inside(x) && inside(y) && black { -self.entropy() } else { f64::NEG_INFINITY }
    }

    fn entropy(&self) -> f64 {
        5.0 * LN_2
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-4.5, 4.5], y: [-4.5, 4.5] }
    }
}
