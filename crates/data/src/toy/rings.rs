//! Four concentric circles with normal noise.

use super::quadrature::{LN_2PI, composite, log_sum_exp, surprise};
use super::{Bounds, ToyDensity};
use crate::random::{below, normal, open_unit};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{PI, TAU};
use std::sync::OnceLock;

/// A uniform point of one of four circles around 0 with radii ρ = 3/4, 3/2, 9/4 and 3, each as
/// likely, plus `N(0, s² I)` with s = 0.15.
///
/// Integrating the noise over the angle gives, with the modified Bessel function `I₀` and
/// `r = |x|`,
///
/// ```text
/// p(x) = 1/4 Σ_ρ exp(-(r² + ρ²) / 2s²) I₀(r ρ / s²) / (2π s²).
/// ```
#[derive(Debug)]
pub(super) struct Rings;

const STEP: f64 = 0.75;
const SD: f64 = 0.15;

fn log_density_of_radius(r: f64) -> f64 {
    let terms = std::array::from_fn::<f64, 4, _>(|k| {
        let rho = STEP * (k as f64 + 1.0);
        // With the exponentially scaled Bessel function the exponents combine to a square.
        log_bessel_i0_scaled(r * rho / (SD * SD)) - 0.5 * ((r - rho) / SD).powi(2)
    });
    log_sum_exp(terms) - LN_2PI - 2.0 * SD.ln() - 4_f64.ln()
}

/// `ln(e^{-z} I₀(z))` for `z ≥ 0`: by the power series `Σ (z²/4)^k / k!²`, whose terms are all
/// positive, below 30, and by the asymptotic series `Σ Π_{j≤k} (2j-1)² / (8 z j) / √(2πz)` above,
/// whose smallest term is of the order `e^{-2z}` (Abramowitz and Stegun, 9.6.12 and 9.7.1).
fn log_bessel_i0_scaled(z: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    if z < 30.0 {
        let quarter = 0.25 * z * z;
        let mut k = 1.0;
        while term > sum * 1e-17 {
            term *= quarter / (k * k);
            sum += term;
            k += 1.0;
        }
        return sum.ln() - z;
    }
    let mut k = 1.0;
    while term > 1e-17 {
        let odd: f64 = 2.0 * k - 1.0;
        term *= odd * odd / (8.0 * z * k);
        sum += term;
        k += 1.0;
    }
    sum.ln() - 0.5 * (TAU * z).ln()
}

impl ToyDensity for Rings {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let rho = STEP * (below(rng, 4) as f64 + 1.0);
        let (sin, cos) = (TAU * open_unit(rng)).sin_cos();
        [rho * cos + SD * normal(rng), rho * sin + SD * normal(rng)]
    }

    fn log_density_at(&self, [x, y]: [f64; 2]) -> f64 {
        log_density_of_radius(x.hypot(y))
    }

    fn entropy(&self) -> f64 {
        static VALUE: OnceLock<f64> = OnceLock::new();
        // In polar coordinates; the mass beyond radius 4.5 (ten standard deviations) is < 1e-20.
        *VALUE.get_or_init(|| {
            let ring = |r: f64| 2.0 * PI * r * surprise(log_density_of_radius(r));
            composite(0.0, 4.5, 30).iter().map(|node| node.weight * ring(node.at)).sum()
        })
    }

    fn bounds(&self) -> Bounds {
        Bounds { x: [-3.8, 3.8], y: [-3.8, 3.8] }
    }
}
