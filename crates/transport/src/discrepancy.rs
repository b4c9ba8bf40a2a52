//! Distances between clouds that are means over pairs: maximum mean discrepancy and energy distance.

use ndarray::ArrayView2;
use pulp::Arch;
use rayon::prelude::*;

use crate::cost::check_clouds;
use crate::error::{Error, Result};
use crate::kernel::rows::{Distances, Panels};
use crate::kernel::sum::{Summand, sum};
use crate::real::Real;

/// Which mean over pairs of one cloud estimates the expectation over independent pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimator {
    /// All pairs, a point with itself too: never negative, zero for equal clouds, biased upwards.
    #[default]
    Biased,
    /// Pairs of different points: right on average, and at times negative.
    Unbiased,
}

/// How to compare.
#[derive(Clone, Copy, Debug, Default)]
pub struct MmdOptions {
    /// σ of the kernel exp(−|x − y|² / (2 σ²)); by default the median distance between points of
    /// both clouds (of a thousand evenly chosen ones, where there are more).
    pub bandwidth: Option<f64>,
    /// Which estimator.
    pub estimator: Estimator,
}

/// A maximum mean discrepancy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mmd {
    /// MMD².
    pub squared: f64,
    /// σ of the kernel.
    pub bandwidth: f64,
}

/// MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y) with the Gaussian kernel (Gretton et al. 2012,
/// equations 3 and 5) between two clouds of equal masses.
///
/// # Errors
/// Empty or mismatched clouds, values that are not finite, a bandwidth that is not positive (also
/// where half of the points coincide and none is given), or a single point where the unbiased
/// estimator needs two.
pub fn mmd<F: Real>(
    x: ArrayView2<'_, F>,
    y: ArrayView2<'_, F>,
    options: &MmdOptions,
) -> Result<Mmd> {
    check_clouds(x, y)?;
    let (x, y) = (Cloud::new(x), Cloud::new(y));
    let bandwidth = options.bandwidth.unwrap_or_else(|| median_distance(&x, &y));
    if !(bandwidth > 0.0 && bandwidth.is_finite()) {
        return Err(Error::parameter(
            "bandwidth",
            format!("expected a positive number, got {bandwidth}"),
        ));
    }
    let summand = Summand::Gaussian { gamma: 0.5 / (bandwidth * bandwidth) };
    let within = |cloud: &Cloud, what| {
        let n = cloud.points() as f64;
        match options.estimator {
            Estimator::Biased => Ok(cloud.sum_over(cloud, summand) / (n * n)),
            Estimator::Unbiased if cloud.points() < 2 => {
                Err(Error::shape(what, "at least two points for the unbiased estimator", "one"))
            }
            Estimator::Unbiased => Ok((cloud.sum_over(cloud, summand) - n) / (n * (n - 1.0))),
        }
    };
    let pairs = x.points() as f64 * y.points() as f64;
    let squared = within(&x, "x")? + within(&y, "y")? - 2.0 * x.sum_over(&y, summand) / pairs;
    Ok(Mmd { squared, bandwidth })
}

/// Energy distance 2 E|x − y| − E|x − x'| − E|y − y'| (Székely & Rizzo 2013) between two clouds of
/// equal masses, over all pairs: never negative, and zero for equal clouds.
///
/// # Errors
/// Empty or mismatched clouds, or values that are not finite.
pub fn energy_distance<F: Real>(x: ArrayView2<'_, F>, y: ArrayView2<'_, F>) -> Result<f64> {
    check_clouds(x, y)?;
    let (x, y) = (Cloud::new(x), Cloud::new(y));
    let mean = |a: &Cloud, b: &Cloud| {
        a.sum_over(b, Summand::Distance) / (a.points() as f64 * b.points() as f64)
    };
    Ok((2.0 * mean(&x, &y) - mean(&x, &x) - mean(&y, &y)).max(0.0))
}

/// Points one after the other.
#[derive(Debug)]
struct Cloud {
    points: Vec<f64>,
    dimension: usize,
}

impl Cloud {
    fn new<F: Real>(cloud: ArrayView2<'_, F>) -> Self {
        Self { points: cloud.iter().map(|v| v.to_f64()).collect(), dimension: cloud.ncols() }
    }

    fn points(&self) -> usize {
        self.points.len() / self.dimension
    }

    /// Σ over all pairs with a point of the other cloud.
    fn sum_over(&self, other: &Self, summand: Summand) -> f64 {
        /// Points of a task.
        const TILE: usize = 32;
        let (arch, d, count) = (Arch::new(), self.dimension, other.points());
        let y = Panels::new(count, d, |j, k| other.points[j * d + k]);
        let tile = |x: &[f64]| {
            let mut rows = vec![0.0; x.len() / d * y.stride()];
            Distances { x, y: &y, root: false, out: &mut rows }.run(arch);
            rows.chunks_exact_mut(y.stride()).map(|row| sum(arch, row, count, summand)).sum::<f64>()
        };
        // Sums of tiles in their order: the same whatever the number of threads.
        let sums: Vec<f64> = self.points.par_chunks(TILE * d).map(tile).collect();
        sums.iter().sum()
    }
}

fn median_distance(x: &Cloud, y: &Cloud) -> f64 {
    const SAMPLE: usize = 1000;
    let d = x.dimension;
    let all: Vec<&[f64]> = x.points.chunks_exact(d).chain(y.points.chunks_exact(d)).collect();
    let chosen: Vec<&[f64]> = all.iter().copied().step_by(all.len().div_ceil(SAMPLE)).collect();
    let mut squares = Vec::with_capacity(chosen.len() * chosen.len() / 2);
    for (i, a) in chosen.iter().enumerate() {
        for b in &chosen[..i] {
            squares.push(a.iter().zip(*b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
        }
    }
    if squares.is_empty() {
        return 0.0;
    }
    let middle = squares.len() / 2;
    let (_, median, _) = squares.select_nth_unstable_by(middle, f64::total_cmp);
    median.sqrt()
}
