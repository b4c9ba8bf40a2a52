//! A rolled-up line with normal noise.

use super::curve::{Curve, NoisyCurves};
use super::quadrature::entropy;
use super::{Bounds, ToyDensity};
use crate::random::{normal, open_unit};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;
use std::sync::{LazyLock, OnceLock};

/// scikit-learn's Swiss roll seen from its end, with noise 1, scaled by 1/5: a point
/// `t/5 (cos t, sin t)` with `t` uniform in `[3π/2, 9π/2]`, plus `N(0, s² I)` with s = 0.2.
#[derive(Debug)]
pub(super) struct SwissRoll(NoisyCurves);

const SD: f64 = 0.2;
const RANGE: [f64; 2] = [1.5 * PI, 4.5 * PI];

pub(super) static SWISS_ROLL: LazyLock<SwissRoll> = LazyLock::new(|| {
    let curve =
        Curve { range: RANGE, panels: 96, place: roll, weight: |_| 1.0 / (RANGE[1] - RANGE[0]) };
    SwissRoll(NoisyCurves::new(SD, &[curve]))
});

fn roll(t: f64) -> [f64; 2] {
    let (sin, cos) = t.sin_cos();
    [t / 5.0 * cos, t / 5.0 * sin]
}

impl ToyDensity for SwissRoll {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let [x, y] = roll(RANGE[0] + (RANGE[1] - RANGE[0]) * open_unit(rng));
        [x + SD * normal(rng), y + SD * normal(rng)]
    }

    fn log_density_at(&self, x: [f64; 2]) -> f64 {
        self.0.log_density_at(x)
    }

    fn entropy(&self) -> f64 {
        static VALUE: OnceLock<f64> = OnceLock::new();
        // Eight standard deviations around the roll, whose places lie in [-2.53, 2.53] × [-2.22, 2.83].
        *VALUE.get_or_init(|| {
            let all = Bounds { x: [-4.2, 4.2], y: [-3.9, 4.5] };
            entropy(|x| self.log_density_at(x), all, [16, 16])
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-3.4, 3.4], y: [-3.1, 3.7] }
    }
}
