//! Entropic transport.

use maxlik_transport::{
    Cost, EmdOptions, Marginals, Sinkhorn, SinkhornOptions, emd, sinkhorn, sinkhorn_batch,
};
use ndarray::{Array1, Array2, Axis, array};
use proptest::prelude::*;

use crate::common::{Shape, clouds, masses, normal, rng, shapes};

fn solve(
    a: &Array1<f64>,
    b: &Array1<f64>,
    cost: &Cost<'_, f64>,
    options: &SinkhornOptions<'_>,
) -> Sinkhorn {
    sinkhorn(a.view(), b.view(), cost, options).unwrap()
}

fn mean(cost: &Cost<'_, f64>) -> f64 {
    let (n, m) = cost.shape();
    let pairs = (0..n).flat_map(|i| (0..m).map(move |j| (i, j)));
    pairs.map(|(i, j)| cost.get(i, j).unwrap()).sum::<f64>() / (n * m) as f64
}

fn distance(a: &Array1<f64>, b: &Array1<f64>) -> f64 {
    (a - b).mapv(f64::abs).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn meets_its_marginals(shape in shapes(), n in 1_usize..40, m in 1_usize..40, d in 1_usize..5, share in 0.03_f64..2.0, seed in 0_u64..1000) {
        let (x, y) = clouds(shape, n, m, d, seed);
        let (a, b) = (masses(n, seed), masses(m, seed + 3));
        let cost = Cost::squared_euclidean(&x, &y);
        let found = solve(&a, &b, &cost, &SinkhornOptions::new(share * mean(&cost)));
        let plan = found.plan(&cost).unwrap();
        prop_assert!(found.converged, "error {} after {} iterations", found.error, found.iterations);
        prop_assert!(distance(&plan.sum_axis(Axis(0)), &b) < 1.1e-9);
        prop_assert!(distance(&plan.sum_axis(Axis(1)), &a) < 1.1e-10);
    }

    /// Passes over the costs go on until the last digits: single precision alone ends at 1e-7.
    #[test]
    fn refines_to_the_last_digits(shape in shapes(), n in 1_usize..40, m in 1_usize..40, share in 0.03_f64..2.0, seed in 0_u64..1000) {
        let (x, y) = clouds(shape, n, m, 2, seed);
        let (a, b) = (masses(n, seed), masses(m, seed + 3));
        let cost = Cost::squared_euclidean(&x, &y);
        let options = SinkhornOptions { tolerance: 1e-13, ..SinkhornOptions::new(share * mean(&cost)) };
        let found = solve(&a, &b, &cost, &options);
        let plan = found.plan(&cost).unwrap();
        prop_assert!(found.converged, "error {} after {} iterations", found.error, found.iterations);
        prop_assert!(distance(&plan.sum_axis(Axis(0)), &b) < 1e-12);
        prop_assert!(distance(&plan.sum_axis(Axis(1)), &a) < 1e-12);
    }

    /// The optimum of a balanced problem is a I-projection: any plan with the same marginals has a
    /// larger ⟨P, c⟩ + ε KL, and moving mass around a cycle of four entries changes nothing at first
    /// order, log P_ij + log P_kl − log P_il − log P_kj = −(c_ij + c_kl − c_il − c_kj) / ε.
    #[test]
    fn is_the_optimum(n in 2_usize..12, seed in 0_u64..1000) {
        let (x, y) = clouds(Shape::Scaled, n, n, 2, seed);
        let equal = Array1::from_elem(n, 1.0 / n as f64);
        let cost = Cost::squared_euclidean(&x, &y);
        let epsilon = 0.2 * mean(&cost);
        let plan = solve(&equal, &equal, &cost, &SinkhornOptions::new(epsilon)).plan(&cost).unwrap();
        let c = |i, j| cost.get(i, j).unwrap();
        let (i, j, k, l) = (0, 0, n - 1, n - 1);
        let logs = (plan[[i, j]] * plan[[k, l]] / plan[[i, l]] / plan[[k, j]]).ln();
        let costs = -(c(i, j) + c(k, l) - c(i, l) - c(k, j)) / epsilon;
        prop_assert!((logs - costs).abs() < 1e-9 * (1.0 + costs.abs()));
    }
}

#[test]
fn a_large_epsilon_gives_the_product_and_a_small_one_the_exact_cost() {
    let (x, y) = clouds(Shape::Scaled, 30, 20, 2, 4);
    let (a, b) = (masses(30, 1), masses(20, 2));
    let cost = Cost::squared_euclidean(&x, &y);
    let loose = solve(&a, &b, &cost, &SinkhornOptions::new(1e6 * mean(&cost))).plan(&cost).unwrap();
    for ((i, j), p) in loose.indexed_iter() {
        assert!((p - a[i] * b[j]).abs() < 1e-7);
    }
    let exact = emd(a.view(), b.view(), &cost, &EmdOptions::default()).unwrap().cost;
    let mut before = f64::INFINITY;
    for share in [1e-1, 1e-2, 1e-3] {
        let options = SinkhornOptions {
            tolerance: 1e-6,
            max_iterations: 20_000,
            ..SinkhornOptions::new(share * mean(&cost))
        };
        let found = solve(&a, &b, &cost, &options);
        let above = found.transport_cost(&cost).unwrap() - exact;
        // ε times the largest entropy, ln 30, bounds what smoothing costs.
        assert!(
            above > -1e-5 && above < before && above < 30_f64.ln() * options.epsilon,
            "{share}: {above}"
        );
        before = above;
    }
}

#[test]
fn a_tiny_epsilon_and_far_clouds_stay_finite() {
    let (x, y) = clouds(Shape::FarShifted, 25, 25, 2, 1);
    let (x, y) = (x, y * 1.001);
    let equal = Array1::from_elem(25, 0.04);
    let cost = Cost::squared_euclidean(&x, &y);
    let options =
        SinkhornOptions { max_iterations: 300, ..SinkhornOptions::new(1e-9 * mean(&cost)) };
    let found = solve(&equal, &equal, &cost, &options);
    assert!(found.potentials.source.iter().chain(&found.potentials.target).all(|v| v.is_finite()));
    let sums = found.plan(&cost).unwrap().sum_axis(Axis(1));
    // At costs of 1e12 and ε of a thousand, exponents keep six digits.
    assert!(distance(&sums, &equal) < 1e-5, "{sums}");
}

#[test]
fn unbalanced_plans_satisfy_their_optimality_conditions() {
    let (x, y) = clouds(Shape::Shifted, 12, 9, 2, 8);
    let (a, b) = (masses(12, 1) * 2.0, masses(9, 2));
    let cost = Cost::squared_euclidean(&x, &y);
    let epsilon = 0.1 * mean(&cost);
    for (source, target) in [(1.0, 3.0), (f64::INFINITY, 2.0), (1e9, 1e9)] {
        if source == 1e9 && (a.sum() - b.sum()).abs() > 1e-9 {
            continue;
        }
        let options = SinkhornOptions {
            marginals: Marginals::Unbalanced { source, target },
            ..SinkhornOptions::new(epsilon)
        };
        let found = solve(&a, &b, &cost, &options);
        assert!(found.converged);
        let plan = found.plan(&cost).unwrap();
        // f = −ρ ln (P 1 / a), g = −ρ ln (Pᵀ 1 / b); where ρ is infinite the marginal is met.
        for (potentials, sums, aims, rho) in [
            (&found.potentials.source, plan.sum_axis(Axis(1)), &a, source),
            (&found.potentials.target, plan.sum_axis(Axis(0)), &b, target),
        ] {
            for ((potential, sum), aim) in
                potentials.iter().zip(&sums).zip(aims).filter(|(_, aim)| **aim > 0.0)
            {
                if rho.is_finite() {
                    assert!(
                        (potential + rho * (sum / aim).ln()).abs() < 1e-6 * (1.0 + potential.abs())
                    );
                } else {
                    assert!((sum - aim).abs() < 1e-9);
                }
            }
        }
    }
}

#[test]
fn strong_penalties_are_constraints() {
    let (x, y) = clouds(Shape::Normal, 15, 15, 2, 8);
    let (a, b) = (masses(15, 1), masses(15, 2));
    let cost = Cost::squared_euclidean(&x, &y);
    let epsilon = 0.2 * mean(&cost);
    let balanced = solve(&a, &b, &cost, &SinkhornOptions::new(epsilon)).plan(&cost).unwrap();
    let marginals = Marginals::Unbalanced { source: 1e7, target: 1e7 };
    let options = SinkhornOptions { marginals, tolerance: 1e-12, ..SinkhornOptions::new(epsilon) };
    let relaxed = solve(&a, &b, &cost, &options).plan(&cost).unwrap();
    assert!((balanced - relaxed).mapv(f64::abs).sum() < 1e-5);
}

#[test]
fn partial_plans_keep_within_their_marginals() {
    let (x, y) = clouds(Shape::Shifted, 14, 10, 2, 8);
    let (a, b) = (masses(14, 1), masses(10, 2) * 1.5);
    let cost = Cost::squared_euclidean(&x, &y);
    let mut before = 0.0;
    for mass in [0.1, 0.5, 0.9, 1.0] {
        let options = SinkhornOptions {
            marginals: Marginals::Partial { mass },
            ..SinkhornOptions::new(0.05 * mean(&cost))
        };
        let found = solve(&a, &b, &cost, &options);
        assert!(found.converged, "mass {mass}: error {}", found.error);
        let plan = found.plan(&cost).unwrap();
        assert!((plan.sum() - mass).abs() < 1e-8);
        for (sum, most) in
            plan.sum_axis(Axis(1)).iter().zip(&a).chain(plan.sum_axis(Axis(0)).iter().zip(&b))
        {
            assert!(*sum <= most + 1e-8, "{sum} of {most}");
        }
        let paid = found.transport_cost(&cost).unwrap();
        assert!(paid > before);
        before = paid;
    }
}

#[test]
fn a_warm_start_saves_iterations() {
    let (x, y) = clouds(Shape::Normal, 60, 60, 2, 8);
    let equal = Array1::from_elem(60, 1.0 / 60.0);
    let cost = Cost::squared_euclidean(&x, &y);
    let options = SinkhornOptions::new(0.05 * mean(&cost));
    let cold = solve(&equal, &equal, &cost, &options);
    let warm = solve(
        &equal,
        &equal,
        &cost,
        &SinkhornOptions { warm_start: Some(&cold.potentials), ..options },
    );
    assert!(warm.converged && warm.iterations <= 10 && warm.iterations < cold.iterations);
    assert!(
        (warm.transport_cost(&cost).unwrap() - cold.transport_cost(&cost).unwrap()).abs() < 1e-8
    );
}

#[test]
fn a_batch_is_its_problems_one_by_one() {
    let pairs: Vec<_> = (0..5).map(|seed| clouds(Shape::Scaled, 12, 9, 3, seed)).collect();
    let costs: Vec<_> = pairs.iter().map(|(x, y)| Cost::squared_euclidean(x, y)).collect();
    let stack = |points: usize, seed: u64| {
        let rows: Vec<_> = (0..5).map(|k| masses(points, seed + k)).collect();
        let views: Vec<_> = rows.iter().map(|row| row.view()).collect();
        ndarray::stack(Axis(0), &views).unwrap()
    };
    let (sources, targets) = (stack(12, 20), stack(9, 40));
    let options = SinkhornOptions::new(1.0);
    let batch = sinkhorn_batch(sources.view(), targets.view(), &costs, &options).unwrap();
    for (i, found) in batch.iter().enumerate() {
        assert_eq!(*found, sinkhorn(sources.row(i), targets.row(i), &costs[i], &options).unwrap());
    }
    assert!(sinkhorn_batch(sources.view(), targets.view(), &costs[..4], &options).is_err());
}

#[test]
fn single_precision_arrays_are_welcome() {
    let (x, y) = clouds(Shape::Scaled, 20, 20, 3, 1);
    let (single_x, single_y) = (x.mapv(|v| v as f32), y.mapv(|v| v as f32));
    let (equal, single) = (Array1::from_elem(20, 0.05), Array1::from_elem(20, 0.05_f32));
    let options = SinkhornOptions { tolerance: 1e-4, ..SinkhornOptions::new(2.0) };
    let wide = solve(&equal, &equal, &Cost::squared_euclidean(&x, &y), &options);
    let cost = Cost::squared_euclidean(&single_x, &single_y);
    let narrow = sinkhorn(single.view(), single.view(), &cost, &options).unwrap();
    assert!(narrow.converged);
    let difference =
        wide.plan(&Cost::squared_euclidean(&x, &y)).unwrap() - narrow.plan(&cost).unwrap();
    assert!(difference.mapv(f64::abs).sum() < 1e-3);
}

#[test]
fn pairs_are_drawn_by_mass() {
    let matrix = array![[0.0, 1.0], [1.0, 0.5]];
    let cost = Cost::matrix(&matrix);
    let found = solve(&array![0.6, 0.4], &array![0.3, 0.7], &cost, &SinkhornOptions::new(0.5));
    let plan = found.plan(&cost).unwrap();
    let pairs = found.sample(&cost, 40_000, &mut rng(5)).unwrap();
    for ((i, j), mass) in plan.indexed_iter() {
        let share = pairs.iter().filter(|&&pair| pair == (i, j)).count() as f64 / 40_000.0;
        assert!((share - mass).abs() < 5.0 * (mass * (1.0 - mass) / 40_000.0).sqrt());
    }
}

#[test]
fn bad_parameters_are_one_clear_line() {
    let cost = normal(2, 2, 0);
    let half = array![0.5, 0.5];
    let message = |options: SinkhornOptions<'_>| {
        sinkhorn(half.view(), half.view(), &Cost::matrix(&cost), &options).unwrap_err().to_string()
    };
    let good = SinkhornOptions::new(1.0);
    assert_eq!(
        message(SinkhornOptions { epsilon: 0.0, ..good }),
        "epsilon: expected more than 0, got 0"
    );
    assert_eq!(
        message(SinkhornOptions { tolerance: -1.0, ..good }),
        "tolerance: expected more than 0, got -1"
    );
    let partial = SinkhornOptions { marginals: Marginals::Partial { mass: 2.0 }, ..good };
    assert_eq!(message(partial), "marginals.mass: expected at most 1, got 2");
    let other = sinkhorn(half.view(), array![0.5, 0.6].view(), &Cost::matrix(&cost), &good);
    assert!(other.unwrap_err().to_string().starts_with("masses: expected equal positive totals"));
    let found = solve(&half, &half, &Cost::matrix(&cost), &good);
    let wrong = Array2::<f64>::zeros((3, 2));
    assert_eq!(
        found.plan(&Cost::matrix(&wrong)).unwrap_err().to_string(),
        "cost: expected shape (2, 2), got (3, 2)"
    );
}
