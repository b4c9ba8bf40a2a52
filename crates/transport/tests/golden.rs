//! Numbers of POT and numpy, written by golden/make_golden.py.

use maxlik_transport::{
    Cost, EmdOptions, Estimator, Marginals, MmdOptions, SinkhornOptions, bures, emd,
    energy_distance, mmd, sinkhorn, wasserstein_1, wasserstein_1d_weighted, wasserstein_2,
};
use ndarray::{Array1, Array2};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    transport: Vec<Transport>,
    gaussian: Vec<Gaussian>,
    discrepancy: Vec<Discrepancy>,
}

#[derive(Deserialize)]
struct Transport {
    x: Rows,
    y: Rows,
    a: Vec<f64>,
    b: Vec<f64>,
    epsilon: f64,
    emd_squared: f64,
    emd_plain: f64,
    w2: f64,
    w1: f64,
    sinkhorn: Rows,
    unbalanced: Rows,
    one_side_unbalanced: Rows,
    partial: Rows,
    one_d_p1: f64,
    one_d_p2: f64,
    one_d_p3: f64,
}

#[derive(Deserialize)]
struct Gaussian {
    means: Rows,
    covariances: Vec<Rows>,
    w2: f64,
}

#[derive(Deserialize)]
struct Discrepancy {
    x: Rows,
    y: Rows,
    sigma: f64,
    mmd_biased: f64,
    mmd_unbiased: f64,
    energy: f64,
}

type Rows = Vec<Vec<f64>>;

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/golden.json")).unwrap()
}

fn matrix(rows: &Rows) -> Array2<f64> {
    let values = rows.concat();
    Array2::from_shape_vec((rows.len(), values.len() / rows.len()), values).unwrap()
}

#[track_caller]
fn close(got: f64, expected: f64, relative: f64) {
    assert!((got - expected).abs() <= relative * expected.abs(), "got {got}, POT has {expected}");
}

#[test]
fn exact_plans_and_distances() {
    for case in golden().transport {
        let (x, y) = (matrix(&case.x), matrix(&case.y));
        let (a, b) = (Array1::from(case.a), Array1::from(case.b));
        let cost = |cost: &Cost<'_, f64>| {
            emd(a.view(), b.view(), cost, &EmdOptions::default()).unwrap().cost
        };
        close(cost(&Cost::squared_euclidean(&x, &y)), case.emd_squared, 1e-12);
        close(cost(&Cost::euclidean(&x, &y)), case.emd_plain, 1e-12);
        close(wasserstein_2(x.view(), y.view()).unwrap(), case.w2, 1e-12);
        close(wasserstein_1(x.view(), y.view()).unwrap(), case.w1, 1e-12);
        let line =
            |p| wasserstein_1d_weighted(x.column(0), a.view(), y.column(0), b.view(), p).unwrap();
        close(line(1.0), case.one_d_p1, 1e-12);
        close(line(2.0), case.one_d_p2, 1e-12);
        close(line(3.0), case.one_d_p3, 1e-12);
    }
}

#[test]
fn entropic_plans() {
    for case in golden().transport {
        let (x, y) = (matrix(&case.x), matrix(&case.y));
        let cost = Cost::squared_euclidean(&x, &y);
        let (a, b) = (Array1::from(case.a), Array1::from(case.b));
        let even = |points: usize| Array1::from_elem(points, 1.0 / points as f64);
        let (even_a, even_b) = (even(a.len()), even(b.len()));
        for (a, b, marginals, expected) in [
            (&a, &b, Marginals::Balanced, &case.sinkhorn),
            (&a, &b, Marginals::Unbalanced { source: 2.0, target: 2.0 }, &case.unbalanced),
            (
                &a,
                &b,
                Marginals::Unbalanced { source: f64::INFINITY, target: 3.0 },
                &case.one_side_unbalanced,
            ),
            (&even_a, &even_b, Marginals::Partial { mass: 0.6 }, &case.partial),
        ] {
            let options = SinkhornOptions {
                marginals,
                tolerance: 1e-13,
                ..SinkhornOptions::new(case.epsilon)
            };
            let found = sinkhorn(a.view(), b.view(), &cost, &options).unwrap();
            let off = (found.plan(&cost).unwrap() - matrix(expected)).mapv(f64::abs).sum();
            assert!(off < 1e-9, "{marginals:?}: {off} away from POT's plan");
        }
    }
}

#[test]
fn gaussians() {
    for case in golden().gaussian {
        let means = matrix(&case.means);
        let (a, b) = (matrix(&case.covariances[0]), matrix(&case.covariances[1]));
        close(bures(means.row(0), a.view(), means.row(1), b.view()).unwrap(), case.w2, 1e-9);
    }
}

#[test]
fn discrepancies() {
    for case in golden().discrepancy {
        let (x, y) = (matrix(&case.x), matrix(&case.y));
        let squared = |estimator| {
            mmd(x.view(), y.view(), &MmdOptions { bandwidth: Some(case.sigma), estimator })
                .unwrap()
                .squared
        };
        close(squared(Estimator::Biased), case.mmd_biased, 1e-12);
        close(squared(Estimator::Unbiased), case.mmd_unbiased, 1e-12);
        close(energy_distance(x.view(), y.view()).unwrap(), case.energy, 1e-12);
    }
}
