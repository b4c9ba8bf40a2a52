//! Eight normal densities on a circle.

use super::quadrature::{LN_2PI, entropy, log_sum_exp};
use super::{Bounds, ToyDensity};
use crate::random::{below, normal};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{FRAC_PI_4, SQRT_2};
use std::sync::OnceLock;

/// An equal mixture of `N(c_k, s² I)` with `c_k = 2√2 (cos kπ/4, sin kπ/4)` and s = √2/4: the
/// scale of FFJORD's set (Grathwohl and others, 2019).
#[derive(Debug)]
pub(super) struct EightGaussians;

const RADIUS: f64 = 2.0 * SQRT_2;
const SD: f64 = SQRT_2 / 4.0;

fn centre(k: usize) -> [f64; 2] {
    let (sin, cos) = (k as f64 * FRAC_PI_4).sin_cos();
    [RADIUS * cos, RADIUS * sin]
}

impl ToyDensity for EightGaussians {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let [x, y] = centre(below(rng, 8) as usize);
        [x + SD * normal(rng), y + SD * normal(rng)]
    }

    fn log_density_at(&self, [x, y]: [f64; 2]) -> f64 {
        let terms = std::array::from_fn::<f64, 8, _>(|k| {
            let [cx, cy] = centre(k);
            let square = (x - cx).powi(2) + (y - cy).powi(2);
            -0.5 * square / (SD * SD)
        });
        log_sum_exp(terms) - LN_2PI - 2.0 * SD.ln() - 8_f64.ln()
    }

    fn entropy(&self) -> f64 {
        static VALUE: OnceLock<f64> = OnceLock::new();
        // The first quadrant, four times; the mass beyond 6 (nine standard deviations) is < 1e-17.
        *VALUE.get_or_init(|| {
            let quadrant = Bounds { x: [0.0, 6.0], y: [0.0, 6.0] };
            4.0 * entropy(|x| self.log_density_at(x), quadrant, [6, 6])
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-4.4, 4.4], y: [-4.4, 4.4] }
    }
}
