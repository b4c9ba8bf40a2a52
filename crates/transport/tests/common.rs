//! Clouds, brute force and certificates.

use maxlik_transport::{Assignment, Cost, Plan, Potentials};
use ndarray::{Array1, Array2};
use proptest::prelude::*;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A seeded generator.
pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Standard normal points.
pub(crate) fn normal(points: usize, dimension: usize, seed: u64) -> Array2<f64> {
    let mut rng = rng(seed);
    Array2::from_shape_simple_fn((points, dimension), || rng.sample(StandardNormal))
}

/// The shapes that clouds take in tests, the degenerate ones among them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Normal,
    Shifted,
    FarShifted,
    Scaled,
    Lattice,
    Duplicated,
    Collinear,
    Constant,
    Clustered,
    Near,
}

pub(crate) const SHAPES: [Shape; 10] = [
    Shape::Normal,
    Shape::Shifted,
    Shape::FarShifted,
    Shape::Scaled,
    Shape::Lattice,
    Shape::Duplicated,
    Shape::Collinear,
    Shape::Constant,
    Shape::Clustered,
    Shape::Near,
];

pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    prop::sample::select(&SHAPES[..])
}

/// Two clouds of a shape.
pub(crate) fn clouds(
    shape: Shape,
    n: usize,
    m: usize,
    d: usize,
    seed: u64,
) -> (Array2<f64>, Array2<f64>) {
    let (mut x, mut y) = (normal(n, d, 2 * seed), normal(m, d, 2 * seed + 1));
    match shape {
        Shape::Normal => {}
        Shape::Shifted => y += 3.0,
        Shape::FarShifted => y += 1e6,
        Shape::Scaled => y *= 3.0,
        Shape::Lattice => {
            x.mapv_inplace(|v| (2.0 * v).round());
            y.mapv_inplace(|v| (2.0 * v).round());
        }
        Shape::Duplicated => {
            for cloud in [&mut x, &mut y] {
                for i in 3..cloud.nrows() {
                    let row = cloud.row(i % 3).to_owned();
                    cloud.row_mut(i).assign(&row);
                }
            }
        }
        Shape::Collinear => {
            for cloud in [&mut x, &mut y] {
                for mut point in cloud.rows_mut() {
                    let first = point[0];
                    point.fill(first);
                }
            }
        }
        Shape::Constant => {
            x.fill(1.0);
            y.fill(-0.5);
        }
        Shape::Clustered => {
            for cloud in [&mut x, &mut y] {
                for (i, mut point) in cloud.rows_mut().into_iter().enumerate() {
                    point += 100.0 * (i % 3) as f64;
                }
            }
        }
        Shape::Near => {
            for (i, mut point) in y.rows_mut().into_iter().enumerate() {
                point *= 1e-3;
                point += &x.row(i % n);
            }
        }
    }
    (x, y)
}

/// What potentials as large as the costs may lose to rounding, in all.
pub(crate) fn rounding(cost: &Cost<'_, f64>) -> f64 {
    let (n, m) = cost.shape();
    let pairs = (0..n).flat_map(|i| (0..m).map(move |j| (i, j)));
    let largest = pairs.map(|(i, j)| cost.get(i, j).unwrap().abs()).fold(0.0, f64::max);
    16.0 * n as f64 * f64::EPSILON * largest
}

/// Sums to about twice the digits, so that certificates measure the solver and not the sum.
pub(crate) fn exact_sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    sum + lost
}

/// Least cost over all ways to give each source a target of its own.
pub(crate) fn brute_force(cost: &Cost<'_, f64>) -> f64 {
    fn best(cost: &Cost<'_, f64>, source: usize, used: &mut Vec<bool>) -> f64 {
        if source == cost.shape().0 {
            return 0.0;
        }
        let mut least = f64::INFINITY;
        for target in 0..used.len() {
            if !used[target] {
                used[target] = true;
                let rest = best(cost, source + 1, used);
                least = least.min(cost.get(source, target).unwrap() + rest);
                used[target] = false;
            }
        }
        least
    }
    best(cost, 0, &mut vec![false; cost.shape().1])
}

/// Checks that an assignment is one, that its cost is its own, and that its potentials prove it
/// optimal: for any v (at most zero, with more targets than sources), Σ_j v_j + Σ_i min_j (c_ij − v_j)
/// is a lower bound of every assignment's cost.
#[track_caller]
pub(crate) fn check_assignment(cost: &Cost<'_, f64>, found: &Assignment, scale: f64) {
    let (sources, targets) = cost.shape();
    let mut used = vec![false; targets];
    assert_eq!(found.permutation.len(), sources);
    for &j in &found.permutation {
        assert!(!std::mem::replace(&mut used[j], true), "target {j} is given twice");
    }
    let paid = exact_sum((0..sources).map(|i| cost.get(i, found.permutation[i]).unwrap()));
    assert!(
        (paid - found.cost).abs() <= 1e-12 * paid.abs() + f64::MIN_POSITIVE,
        "cost {} but pays {paid}",
        found.cost
    );
    let v = &found.potentials.target;
    let least = |i: usize| {
        (0..targets).map(|j| cost.get(i, j).unwrap() - v[j]).fold(f64::INFINITY, f64::min)
    };
    let bound = exact_sum(v.iter().copied().chain((0..sources).map(least)));
    assert!(
        paid - bound <= 1e-9 * paid.abs() + scale,
        "pays {paid}, bound {bound}: gap {:.1e}",
        paid - bound
    );
    let dual = exact_sum(v.iter().chain(&found.potentials.source).copied());
    assert!((paid - dual).abs() <= 1e-9 * paid.abs() + scale, "pays {paid}, dual {dual}");
    if targets > sources {
        for (j, &v) in v.iter().enumerate() {
            assert!(
                v <= 0.0 && (used[j] || v == 0.0),
                "potential {v} of target {j}, used: {}",
                used[j]
            );
        }
    }
}

/// Masses that are far from equal, some of them zero, of total one.
pub(crate) fn masses(points: usize, seed: u64) -> Array1<f64> {
    let mut rng = rng(seed);
    let mut masses = Array1::from_shape_simple_fn(points, || {
        if rng.random_bool(0.1) { 0.0 } else { f64::from(rng.random_range(1..=50_u32)) }
    });
    masses[0] += 1.0;
    let total = masses.sum();
    masses / total
}

/// Checks marginals, cost and the duality certificate of a plan.
#[track_caller]
pub(crate) fn check_plan(
    a: &Array1<f64>,
    b: &Array1<f64>,
    cost: &Cost<'_, f64>,
    plan: &Plan,
    scale: f64,
) {
    let (mut left_a, mut left_b) = (a.clone(), b.clone());
    for flow in &plan.flows {
        assert!(flow.mass > 0.0);
        left_a[flow.source] -= flow.mass;
        left_b[flow.target] -= flow.mass;
    }
    for left in left_a.iter().chain(&left_b) {
        assert!(left.abs() < 1e-14, "a marginal is off by {left}");
    }
    assert!(plan.flows.len() < a.len() + b.len(), "{} flows are no basis", plan.flows.len());
    let paid = exact_sum(plan.flows.iter().map(|f| f.mass * cost.get(f.source, f.target).unwrap()));
    assert!((paid - plan.cost).abs() <= 1e-12 * paid.abs() + scale * 1e-3);
    let Potentials { source: u, target: v } = &plan.potentials;
    let least = |i: usize| {
        (0..b.len()).map(|j| cost.get(i, j).unwrap() - v[j]).fold(f64::INFINITY, f64::min)
    };
    let bound =
        exact_sum((0..a.len()).map(|i| a[i] * least(i)).chain((0..b.len()).map(|j| b[j] * v[j])));
    assert!((paid - bound).abs() <= 1e-9 * paid.abs() + scale, "pays {paid}, bound {bound}");
    for (i, u) in u.iter().enumerate() {
        assert!(
            *u <= least(i) + scale * a.len() as f64,
            "potential {u} of source {i} exceeds {}",
            least(i)
        );
    }
}
