//! Transport averaged over directions.

use ndarray::ArrayView2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use crate::cost::check_clouds;
use crate::error::{Error, Result};
use crate::one_dim::{check_order, cost};
use crate::real::Real;

/// Sliced Wasserstein distance (Bonneel et al. 2015) between two clouds with equal masses:
/// (mean over θ of W_p^p(θ·x, θ·y))^{1/p}, over `directions` uniform on the unit sphere, which
/// `seed` alone determines.
///
/// # Errors
/// Empty or mismatched clouds, values that are not finite, p below 1, or no directions.
pub fn sliced_wasserstein<F: Real>(
    x: ArrayView2<'_, F>,
    y: ArrayView2<'_, F>,
    p: f64,
    directions: usize,
    seed: u64,
) -> Result<f64> {
    check_clouds(x, y)?;
    check_order(p)?;
    if directions == 0 {
        return Err(Error::parameter("directions", "expected at least one, got 0"));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let units: Vec<Vec<f64>> = (0..directions).map(|_| unit(x.ncols(), &mut random)).collect();
    let along = |cloud: &ArrayView2<'_, F>, direction: &[f64]| {
        let mass = (cloud.nrows() as f64).recip();
        let dot = |point: ndarray::ArrayView1<'_, F>| {
            point.iter().zip(direction).map(|(v, d)| v.to_f64() * d).sum()
        };
        cloud.rows().into_iter().map(|point| (dot(point), mass)).collect::<Vec<(f64, f64)>>()
    };
    let powers: Vec<f64> = units
        .par_iter()
        .map(|direction| cost(&mut along(&x, direction), &mut along(&y, direction), p))
        .collect();
    Ok((powers.iter().sum::<f64>() / directions as f64).powf(p.recip()))
}

/// A uniform unit vector.
fn unit(dimension: usize, random: &mut impl Rng) -> Vec<f64> {
    loop {
        let vector: Vec<f64> = (0..dimension).map(|_| random.sample(StandardNormal)).collect();
        let norm = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm > 0.0 {
            return vector.into_iter().map(|v| v / norm).collect();
        }
    }
}
