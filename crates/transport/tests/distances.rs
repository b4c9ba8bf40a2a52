//! Distances between clouds, on the line and between Gaussians.

use maxlik_transport::{
    Estimator, MmdOptions, bures, energy_distance, mmd, sliced_wasserstein, wasserstein_1,
    wasserstein_1d, wasserstein_2,
};
use ndarray::{Array1, Array2, Axis, array};
use proptest::prelude::*;

use crate::common::{Shape, clouds, normal};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn distances_are_distances(n in 1_usize..20, m in 1_usize..20, d in 1_usize..4, seed in 0_u64..1000) {
        let (x, y) = clouds(Shape::Shifted, n, m, d, seed);
        let z = normal(7, d, seed + 5000);
        for distance in [wasserstein_1, wasserstein_2] {
            let between = |a: &Array2<f64>, b: &Array2<f64>| distance(a.view(), b.view()).unwrap();
            prop_assert!(between(&x, &x) < 1e-7);
            prop_assert!((between(&x, &y) - between(&y, &x)).abs() < 1e-9);
            prop_assert!(between(&x, &y) <= between(&x, &z) + between(&z, &y) + 1e-9);
        }
        prop_assert!(wasserstein_1(x.view(), y.view()).unwrap() <= wasserstein_2(x.view(), y.view()).unwrap() + 1e-12);
        prop_assert!(energy_distance(x.view(), y.view()).unwrap() >= 0.0);
        prop_assert!(energy_distance(x.view(), x.view()).unwrap() < 1e-12);
        let options = MmdOptions { bandwidth: Some(1.0), ..MmdOptions::default() };
        let squared = mmd(x.view(), y.view(), &options).unwrap().squared;
        prop_assert!(squared > -1e-14);
    }

    #[test]
    fn the_line_agrees_with_the_plane(n in 1_usize..30, m in 1_usize..30, seed in 0_u64..1000) {
        let (x, y) = clouds(Shape::Scaled, n, m, 1, seed);
        let line = |p| wasserstein_1d(x.column(0), y.column(0), p).unwrap();
        prop_assert!((line(1.0) - wasserstein_1(x.view(), y.view()).unwrap()).abs() < 1e-12);
        prop_assert!((line(2.0) - wasserstein_2(x.view(), y.view()).unwrap()).abs() < 1e-12);
        let sliced = sliced_wasserstein(x.view(), y.view(), 2.0, 3, seed).unwrap();
        prop_assert!((sliced - line(2.0)).abs() < 1e-12);
    }

    #[test]
    fn bures_between_commuting_covariances_is_that_of_standard_deviations(d in 1_usize..8, seed in 0_u64..1000) {
        let (s, t) = (normal(1, d, seed).mapv(f64::abs), normal(1, d, seed + 9).mapv(f64::abs));
        let (s, t) = (s.row(0).to_owned(), t.row(0).to_owned());
        let squares = |s: &Array1<f64>| Array2::from_diag(&s.mapv(|v| v * v));
        let zero = Array1::zeros(d);
        let found = bures(zero.view(), squares(&s).view(), zero.view(), squares(&t).view()).unwrap();
        let expected = (&s - &t).mapv(|v| v * v).sum().sqrt();
        prop_assert!((found - expected).abs() < 1e-7);
    }
}

/// T x = A x with A symmetric positive definite is optimal from N(0, 1) to N(0, A²), so
/// W₂² = tr (A − 1)², in any basis.
#[test]
fn bures_follows_from_the_optimal_map() {
    let root = normal(5, 5, 3);
    let map = root.dot(&root.t()) / 5.0 + 0.1 * Array2::<f64>::eye(5);
    let (zero, shift) = (Array1::zeros(5), Array1::from_elem(5, 2.0));
    let found =
        bures(zero.view(), Array2::<f64>::eye(5).view(), shift.view(), map.dot(&map).view())
            .unwrap();
    let difference = &map - &Array2::<f64>::eye(5);
    let expected = (difference.dot(&difference).diag().sum() + 20.0).sqrt();
    assert!((found - expected).abs() < 1e-12 * expected);
}

#[test]
fn bures_takes_singular_covariances_and_refuses_others() {
    let zero = Array1::<f64>::zeros(2);
    let line = array![[1.0, 1.0], [1.0, 1.0]];
    let dot = Array2::zeros((2, 2));
    assert!(
        (bures(zero.view(), line.view(), zero.view(), dot.view()).unwrap() - 2_f64.sqrt()).abs()
            < 1e-12
    );
    let message = |matrix: Array2<f64>| {
        bures(zero.view(), line.view(), zero.view(), matrix.view()).unwrap_err().to_string()
    };
    assert_eq!(
        message(array![[1.0, 0.5], [0.0, 1.0]]),
        "covariance_y: expected a symmetric matrix, got entries 0.5 apart"
    );
    assert!(
        message(array![[1.0, 2.0], [2.0, 1.0]])
            .starts_with("covariance_y: expected a positive semi-definite matrix")
    );
    assert_eq!(
        message(Array2::eye(3)),
        "covariance_y: expected shape (2, 2), for means of 2 entries, got (3, 3)"
    );
}

#[test]
fn samples_approach_the_gaussian_closed_form() {
    let n = 1000;
    let (x, mut y) = (normal(n, 2, 1), normal(n, 2, 2));
    let map = array![[1.5, 0.4], [0.4, 0.8]];
    y = y.dot(&map) + &array![1.0, -2.0];
    let moments = |cloud: &Array2<f64>| {
        let mean = cloud.mean_axis(Axis(0)).unwrap();
        let centred = cloud - &mean;
        let covariance = centred.t().dot(&centred) / n as f64;
        (mean, covariance)
    };
    let ((mean_x, covariance_x), (mean_y, covariance_y)) = (moments(&x), moments(&y));
    let closed =
        bures(mean_x.view(), covariance_x.view(), mean_y.view(), covariance_y.view()).unwrap();
    let sampled = wasserstein_2(x.view(), y.view()).unwrap();
    // W₂ between samples is at least that between Gaussians of their moments (Gelbrich 1990).
    assert!(sampled >= closed && sampled < 1.05 * closed, "{sampled} against {closed}");
}

#[test]
fn sliced_distances_of_a_shift_are_known() {
    let x = normal(50, 3, 4);
    let y = &x + &array![3.0, 0.0, 4.0];
    // E (θ·t)² = |t|² / d.
    let found = sliced_wasserstein(x.view(), y.view(), 2.0, 4000, 9).unwrap();
    let expected = (25.0_f64 / 3.0).sqrt();
    assert!((found / expected - 1.0).abs() < 0.03, "{found} against {expected}");
    assert_eq!(found, sliced_wasserstein(x.view(), y.view(), 2.0, 4000, 9).unwrap());
    assert_ne!(found, sliced_wasserstein(x.view(), y.view(), 2.0, 4000, 10).unwrap());
}

/// Two points against two: the kernel values by hand.
#[test]
fn mmd_of_few_points_by_hand() {
    let (x, y) = (array![[0.0], [2.0]], array![[1.0], [1.0]]);
    let options = |estimator| MmdOptions { bandwidth: Some(1.0), estimator };
    let (near, far) = ((-0.5_f64).exp(), (-2.0_f64).exp());
    let biased = mmd(x.view(), y.view(), &options(Estimator::Biased)).unwrap().squared;
    assert!((biased - ((1.0 + far) / 2.0 + 1.0 - 2.0 * near)).abs() < 1e-15);
    let unbiased = mmd(x.view(), y.view(), &options(Estimator::Unbiased)).unwrap().squared;
    assert!((unbiased - (far + 1.0 - 2.0 * near)).abs() < 1e-15);
    // Distances between the four points: 2, 1, 1, 1, 1, 0; the upper median is 1.
    assert_eq!(mmd(x.view(), y.view(), &MmdOptions::default()).unwrap().bandwidth, 1.0);
    assert!((energy_distance(x.view(), y.view()).unwrap() - (2.0 - 1.0)).abs() < 1e-15);
}

/// With N(0, 1) and N(0, 1) + t in d dimensions, MMD² = 2 (σ² / (σ² + 2))^{d/2} (1 − exp(−|t|² / (2 (σ² + 2)))).
#[test]
fn mmd_approaches_its_closed_form() {
    let (n, sigma) = (2000, 1.3_f64);
    let (x, mut y) = (normal(n, 2, 11), normal(n, 2, 12));
    y += &array![0.8, 0.6];
    let width = sigma * sigma + 2.0;
    let expected = 2.0 * (sigma * sigma / width) * (1.0 - (-0.5 / width).exp());
    let options = MmdOptions { bandwidth: Some(sigma), estimator: Estimator::Unbiased };
    let found = mmd(x.view(), y.view(), &options).unwrap().squared;
    assert!((found / expected - 1.0).abs() < 0.1, "{found} against {expected}");
}

#[test]
fn the_unbiased_mmd_is_zero_on_average() {
    let options = MmdOptions { bandwidth: Some(1.0), estimator: Estimator::Unbiased };
    let values: Vec<f64> = (0..200)
        .map(|k| {
            mmd(normal(12, 2, 2 * k).view(), normal(9, 2, 2 * k + 1).view(), &options)
                .unwrap()
                .squared
        })
        .collect();
    let mean = values.iter().sum::<f64>() / 200.0;
    let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 200.0).sqrt();
    assert!(mean.abs() < 4.0 * spread / 200_f64.sqrt(), "{mean} with spread {spread}");
    assert!(values.iter().any(|&v| v < 0.0));
}

#[test]
fn bad_arguments_are_one_clear_line() {
    let (x, y) = (normal(4, 2, 1), normal(5, 2, 2));
    assert_eq!(
        sliced_wasserstein(x.view(), y.view(), 0.5, 10, 0).unwrap_err().to_string(),
        "p: expected a finite order of 1 or more, got 0.5"
    );
    assert_eq!(
        sliced_wasserstein(x.view(), y.view(), 1.0, 0, 0).unwrap_err().to_string(),
        "directions: expected at least one, got 0"
    );
    let same = Array2::<f64>::ones((4, 2));
    assert_eq!(
        mmd(same.view(), same.view(), &MmdOptions::default()).unwrap_err().to_string(),
        "bandwidth: expected a positive number, got 0"
    );
    let none = Array1::<f64>::zeros(0);
    assert_eq!(
        wasserstein_1d(x.column(0), none.view(), 1.0).unwrap_err().to_string(),
        "y: expected at least one entry, got none"
    );
    assert_eq!(
        wasserstein_2(x.view(), Array2::zeros((0, 2)).view()).unwrap_err().to_string(),
        "target: expected at least one entry, got none"
    );
}
