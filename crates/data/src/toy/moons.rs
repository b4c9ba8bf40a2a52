//! Two interleaved half circles with normal noise.

use super::curve::{Curve, HALF_TURN, NoisyCurves};
use super::quadrature::entropy;
use super::{Bounds, ToyDensity};
use crate::random::{below, normal, open_unit};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;
use std::sync::{LazyLock, OnceLock};

/// scikit-learn's two moons with noise 0.1, centred at 0 and scaled by 2: with `t` uniform in
/// `[0, π]`, a point `(2 cos t - 1, 2 sin t - 1/2)` of the upper moon or its negative of the
/// lower one, each as likely, plus `N(0, s² I)` with s = 0.2.
#[derive(Debug)]
pub(super) struct Moons(NoisyCurves);

const SD: f64 = 0.2;

pub(super) static MOONS: LazyLock<Moons> = LazyLock::new(|| {
    let arc = |place: fn(f64) -> [f64; 2]| Curve {
        range: HALF_TURN,
        panels: 48,
        place,
        weight: |_| 0.5 / PI,
    };
    let lower = |t: f64| upper(t).map(|v| -v);
    Moons(NoisyCurves::new(SD, &[arc(upper), arc(lower)]))
});

fn upper(t: f64) -> [f64; 2] {
    let (sin, cos) = t.sin_cos();
    [2.0 * cos - 1.0, 2.0 * sin - 0.5]
}

impl ToyDensity for Moons {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let sign = if below(rng, 2) == 0 { 1.0 } else { -1.0 };
        let [x, y] = upper(PI * open_unit(rng));
        [sign * x + SD * normal(rng), sign * y + SD * normal(rng)]
    }

    fn log_density_at(&self, x: [f64; 2]) -> f64 {
        self.0.log_density_at(x)
    }

    fn entropy(&self) -> f64 {
        static VALUE: OnceLock<f64> = OnceLock::new();
        // The right half plane, twice: p(-x) = p(x). Eight standard deviations around the arcs.
        *VALUE.get_or_init(|| {
            let half = Bounds { x: [0.0, 4.6], y: [-3.1, 3.1] };
            2.0 * entropy(|x| self.log_density_at(x), half, [9, 12])
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-3.8, 3.8], y: [-2.4, 2.4] }
    }
}
