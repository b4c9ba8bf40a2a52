//! Five twisted arms.

use super::quadrature::{LN_2PI, entropy, log_sum_exp};
use super::{Bounds, ToyDensity};
use crate::random::{below, normal};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{LN_2, TAU};
use std::sync::OnceLock;

/// `x = 2 R(2πk/5 + e^{|u|}/4) u` with `u ~ N((1, 0), diag(0.3², 0.1²))`, `k` uniform in `0..5` and
/// `R` the rotation.
///
/// As in the pinwheel of Johnson and others (2016, "Composing graphical models with neural
/// networks", section 5.1), except that the twist depends on the radius `|u|` rather than on the
/// first coordinate: then it preserves area and can be undone, so the density is in closed form,
///
/// ```text
/// p(x) = 1/5 Σ_k N(R(-2πk/5 - e^{|x|/2}/4) x/2; (1, 0), diag(0.3², 0.1²)) / 4,
/// ```
///
/// and the entropy is that of the untwisted mixture plus `ln 4`.
#[derive(Debug)]
pub(super) struct Pinwheel;

const ARMS: usize = 5;
const RADIAL_SD: f64 = 0.3;
const TANGENTIAL_SD: f64 = 0.1;
const RATE: f64 = 0.25;

fn rotate(angle: f64, [x, y]: [f64; 2]) -> [f64; 2] {
    let (sin, cos) = angle.sin_cos();
    [cos * x - sin * y, sin * x + cos * y]
}

/// Log-density of the mixture before the twist and the scaling.
fn log_untwisted(u: [f64; 2]) -> f64 {
    let terms = std::array::from_fn::<f64, ARMS, _>(|k| {
        let [a, b] = rotate(-TAU * k as f64 / ARMS as f64, u);
        -0.5 * (((a - 1.0) / RADIAL_SD).powi(2) + (b / TANGENTIAL_SD).powi(2))
    });
    log_sum_exp(terms) - LN_2PI - (RADIAL_SD * TANGENTIAL_SD).ln() - (ARMS as f64).ln()
}

impl ToyDensity for Pinwheel {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let arm = TAU * below(rng, ARMS as u64) as f64 / ARMS as f64;
        let u = [1.0 + RADIAL_SD * normal(rng), TANGENTIAL_SD * normal(rng)];
        let twist = RATE * u[0].hypot(u[1]).exp();
        rotate(arm + twist, u).map(|v| 2.0 * v)
    }

    fn log_density_at(&self, x: [f64; 2]) -> f64 {
        let [x, y] = x.map(|v| 0.5 * v);
        // Beyond this radius the density is below e^-10000 and the twist loses its digits.
        let twist = RATE * x.hypot(y).min(50.0).exp();
        log_untwisted(rotate(-twist, [x, y])) - 2.0 * LN_2
    }

    fn entropy(&self) -> f64 {
        static VALUE: OnceLock<f64> = OnceLock::new();
        // The upper half plane, twice; the mass beyond 3.4 (eight standard deviations) is < 1e-14.
        *VALUE.get_or_init(|| {
            let half = Bounds { x: [-3.4, 3.4], y: [0.0, 3.4] };
            2.0 * entropy(log_untwisted, half, [24, 12]) + 2.0 * LN_2
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-4.2, 4.2], y: [-4.2, 4.2] }
    }
}
