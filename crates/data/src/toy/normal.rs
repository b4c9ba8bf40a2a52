//! The standard normal density of the plane.

use super::quadrature::LN_2PI;
use super::{Bounds, ToyDensity};
use crate::random::normal;
use rand_chacha::ChaCha8Rng;

/// `ln p(x) = -|x|²/2 - ln 2π`; entropy `1 + ln 2π`.
#[derive(Debug)]
pub(super) struct Normal;

impl ToyDensity for Normal {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        [normal(rng), normal(rng)]
    }

    fn log_density_at(&self, [x, y]: [f64; 2]) -> f64 {
        -0.5 * (x * x + y * y) - LN_2PI
    }

    fn entropy(&self) -> f64 {
        1.0 + LN_2PI
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-4.0, 4.0], y: [-4.0, 4.0] }
    }
}
