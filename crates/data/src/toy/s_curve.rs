//! A line in the shape of an S with normal noise.

use super::curve::{Curve, NoisyCurves};
use super::quadrature::entropy;
use super::{Bounds, ToyDensity};
use crate::random::{normal, open_unit};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;
use std::sync::{LazyLock, OnceLock};

/// scikit-learn's S curve seen from its end, with noise 0.1, scaled by 2: a point
/// `(2 sin t, 2 sign(t) (cos t - 1))` with `t` uniform in `[-3π/2, 3π/2]`, plus `N(0, s² I)` with
/// s = 0.2.
#[derive(Debug)]
pub(super) struct SCurve(NoisyCurves);

const SD: f64 = 0.2;
const RANGE: [f64; 2] = [-1.5 * PI, 1.5 * PI];

pub(super) static S_CURVE: LazyLock<SCurve> = LazyLock::new(|| {
    // An even number of panels: the second derivative jumps at t = 0, where two of them meet.
    let curve =
        Curve { range: RANGE, panels: 96, place: letter, weight: |_| 1.0 / (RANGE[1] - RANGE[0]) };
    SCurve(NoisyCurves::new(SD, &[curve]))
});

fn letter(t: f64) -> [f64; 2] {
    let (sin, cos) = t.sin_cos();
    [2.0 * sin, 2.0 * (cos - 1.0).copysign(-t)]
}

impl ToyDensity for SCurve {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let [x, y] = letter(RANGE[0] + (RANGE[1] - RANGE[0]) * open_unit(rng));
        [x + SD * normal(rng), y + SD * normal(rng)]
    }

    fn log_density_at(&self, x: [f64; 2]) -> f64 {
        self.0.log_density_at(x)
    }

    fn entropy(&self) -> f64 {
        static VALUE: OnceLock<f64> = OnceLock::new();
        // The upper half plane, twice: p(-x) = p(x). Eight standard deviations around the curve.
        *VALUE.get_or_init(|| {
            let half = Bounds { x: [-3.6, 3.6], y: [0.0, 5.6] };
            2.0 * entropy(|x| self.log_density_at(x), half, [14, 12])
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-2.8, 2.8], y: [-4.8, 4.8] }
    }
}
