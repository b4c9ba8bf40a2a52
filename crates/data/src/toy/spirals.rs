//! Two spirals with normal noise.

use super::curve::{Curve, NoisyCurves};
use super::quadrature::entropy;
use super::{Bounds, ToyDensity};
use crate::random::{below, normal, open_unit};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;
use std::sync::{LazyLock, OnceLock};

/// FFJORD's two spirals (Grathwohl and others, 2019) without their uniform jitter: a point
/// `t/3 (-cos t, sin t)` or its negative, each as likely, with `t = 3π √u`, `u` uniform in (0, 1),
/// hence `w(t) = 2t / 9π²` on `[0, 3π]`, plus `N(0, s² I)` with s = 0.1.
#[derive(Debug)]
pub(super) struct Spirals(NoisyCurves);

const SD: f64 = 0.1;
const TURN: f64 = 3.0 * PI;

pub(super) static SPIRALS: LazyLock<Spirals> = LazyLock::new(|| {
    let spiral = |place: fn(f64) -> [f64; 2]| Curve {
        range: [0.0, TURN],
        panels: 128,
        place,
        weight: |t| t / (TURN * TURN),
    };
    let second = |t: f64| arm(t).map(|v| -v);
    Spirals(NoisyCurves::new(SD, &[spiral(arm), spiral(second)]))
});

fn arm(t: f64) -> [f64; 2] {
    let (sin, cos) = t.sin_cos();
    [-t / 3.0 * cos, t / 3.0 * sin]
}

impl ToyDensity for Spirals {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let sign = if below(rng, 2) == 0 { 1.0 } else { -1.0 };
        let [x, y] = arm(TURN * open_unit(rng).sqrt());
        [sign * x + SD * normal(rng), sign * y + SD * normal(rng)]
    }

    fn log_density_at(&self, x: [f64; 2]) -> f64 {
        self.0.log_density_at(x)
    }

    fn entropy(&self) -> f64 {
        static VALUE: OnceLock<f64> = OnceLock::new();
        // The right half plane, twice: p(-x) = p(x). Eight standard deviations around the arms.
        *VALUE.get_or_init(|| {
            let half = Bounds { x: [0.0, 4.0], y: [-4.0, 4.0] };
            2.0 * entropy(|x| self.log_density_at(x), half, [13, 26])
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-3.6, 3.6], y: [-3.6, 3.6] }
    }
}
