//! A normal density bent along a parabola.

use super::quadrature::LN_2PI;
use super::{Bounds, ToyDensity};
use crate::random::normal;
use rand_chacha::ChaCha8Rng;

/// `x ~ N(0, 1)`, `y | x ~ N(b (x² - 1), s²)` with b = 1/2 and s = 0.3.
///
/// The bend `y → y + b (x² - 1)` moves points along y by an amount that depends on x only, so it
/// preserves area: the entropy `1 + ln 2π + ln s` is that of the unbent normal density.
#[derive(Debug)]
pub(super) struct Banana;

const BEND: f64 = 0.5;
const SD: f64 = 0.3;

impl ToyDensity for Banana {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let x = normal(rng);
        [x, BEND * (x * x - 1.0) + SD * normal(rng)]
    }

    fn log_density_at(&self, [x, y]: [f64; 2]) -> f64 {
        let v = (y - BEND * (x * x - 1.0)) / SD;
        -0.5 * (x * x + v * v) - LN_2PI - SD.ln()
    }

    fn entropy(&self) -> f64 {
        1.0 + LN_2PI + SD.ln()
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-3.6, 3.6], y: [-1.8, 6.6] }
    }
}
