//! Exact assignment and Sinkhorn on the problems that `benches/peers/transport.py` times too.

#![allow(missing_docs, reason = "criterion's macro makes an undocumented function")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use maxlik_transport::{AssignmentOptions, AssignmentSolver, Cost, SinkhornOptions, sinkhorn};
use ndarray::{Array1, Array2};

/// Sizes of the clouds.
const SIZES: [usize; 3] = [256, 1024, 2048];
/// Clouds of one distribution, and pairs of different ones.
const KINDS: [&str; 4] = ["same", "shifted", "scaled", "eight"];

/// SplitMix64: a generator that is a line in any language.
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Box–Muller, the cosine of each pair.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }
}

/// Two clouds of `n` points in `d` dimensions: standard normal, the second of them as it is, shifted
/// by 3 in each coordinate, scaled by 3, or eight narrow normals around a circle in the first two
/// coordinates.
fn clouds(kind: &str, n: usize, d: usize, seed: u64) -> (Array2<f64>, Array2<f64>) {
    let mut random = SplitMix(seed);
    let x = Array2::from_shape_simple_fn((n, d), || random.normal());
    let mut y = Array2::from_shape_simple_fn((n, d), || random.normal());
    match kind {
        "shifted" => y += 3.0,
        "scaled" => y *= 3.0,
        "eight" => {
            y *= 0.3;
            for mut point in y.rows_mut() {
                let angle = (random.next() % 8) as f64 * std::f64::consts::FRAC_PI_4;
                point[0] += 5.0 * angle.cos();
                point[1] += 5.0 * angle.sin();
            }
        }
        _ => {}
    }
    (x, y)
}

fn assignments(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assignment");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for n in SIZES {
        for d in [2, 50] {
            for kind in KINDS {
                // A stream of different problems in the memory of one solver, as in training.
                let mut solver = AssignmentSolver::new();
                let mut seed = 0;
                group.bench_function(BenchmarkId::new(format!("{kind}/d{d}"), n), |bench| {
                    let next = || {
                        seed += 1;
                        clouds(kind, n, d, seed)
                    };
                    let solve = |pair: &mut (Array2<f64>, Array2<f64>)| {
                        let cost = Cost::squared_euclidean(&pair.0, &pair.1);
                        black_box(solver.solve(&cost, &AssignmentOptions::default()))
                    };
                    bench.iter_batched_ref(next, solve, BatchSize::PerIteration);
                });
            }
        }
    }
    group.finish();
}

fn sinkhorns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sinkhorn");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for n in [256, 1024] {
        for d in [2, 50] {
            let (x, y) = clouds("same", n, d, 0);
            let square = |i: usize, j: usize| (0..d).map(|k| (x[[i, k]] - y[[j, k]]).powi(2)).sum();
            let matrix = Array2::<f64>::from_shape_fn((n, n), |(i, j)| square(i, j));
            let mean = matrix.sum() / (n * n) as f64;
            let weights = Array1::from_elem(n, 1.0 / n as f64);
            for share in [0.2, 0.05, 0.02] {
                let options = SinkhornOptions::new(share * mean);
                group.bench_function(BenchmarkId::new(format!("eps{share}/d{d}"), n), |bench| {
                    bench.iter(|| {
                        sinkhorn(weights.view(), weights.view(), &Cost::matrix(&matrix), &options)
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, assignments, sinkhorns);
criterion_main!(benches);
