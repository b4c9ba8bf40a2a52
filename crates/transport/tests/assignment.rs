//! The assignment solver.

use maxlik_transport::{Assignment, AssignmentOptions, AssignmentSolver, Cost, Error, assignment};
use ndarray::{Array2, array};
use proptest::prelude::*;

use crate::common::{Shape, brute_force, check_assignment, clouds, normal, rounding, shapes};

fn solve(cost: &Cost<'_, f64>) -> Assignment {
    assignment(cost, &AssignmentOptions::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_brute_force(shape in shapes(), n in 1_usize..=7, more in 0_usize..=1, d in 1_usize..6, seed in 0_u64..1000) {
        let (x, y) = clouds(shape, n, n + more, d, seed);
        for cost in [Cost::squared_euclidean(&x, &y), Cost::euclidean(&x, &y)] {
            let found = solve(&cost);
            let least = brute_force(&cost);
            prop_assert!((found.cost - least).abs() <= 1e-12 * least + rounding(&cost) * 1e-2, "{} against {least}", found.cost);
        }
    }

    #[test]
    fn proves_itself(shape in shapes(), n in 2_usize..80, more in 0_usize..20, d in 1_usize..12, seed in 0_u64..1000) {
        let (x, y) = clouds(shape, n, n + more, d, seed);
        for cost in [Cost::squared_euclidean(&x, &y), Cost::euclidean(&x, &y)] {
            check_assignment(&cost, &solve(&cost), rounding(&cost));
        }
    }

    #[test]
    fn matrices_with_ties_and_negative_costs(n in 1_usize..40, levels in 1_i32..6, seed in 0_u64..1000) {
        let matrix = normal(n, n, seed).mapv(|c| (c * f64::from(levels)).round());
        let cost = Cost::matrix(&matrix);
        check_assignment(&cost, &solve(&cost), rounding(&cost));
    }

    #[test]
    fn translation_and_rotation_leave_the_optimum(n in 2_usize..60, seed in 0_u64..1000, angle in 0.0_f64..6.0) {
        let (x, y) = clouds(Shape::Scaled, n, n, 2, seed);
        let turn = array![[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]];
        let (turned_x, turned_y) = (x.dot(&turn) + 2.5, y.dot(&turn) - 1.5);
        prop_assert_eq!(
            solve(&Cost::squared_euclidean(&x, &y)).permutation,
            solve(&Cost::squared_euclidean(&turned_x, &turned_y)).permutation
        );
    }

    #[test]
    fn sorts_in_one_dimension(n in 1_usize..100, seed in 0_u64..1000) {
        let (x, y) = clouds(Shape::Normal, n, n, 1, seed);
        let found = solve(&Cost::squared_euclidean(&x, &y)).cost;
        let sorted = |cloud: &Array2<f64>| {
            let mut values: Vec<f64> = cloud.iter().copied().collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let expected: f64 = sorted(&x).iter().zip(sorted(&y)).map(|(a, b)| (a - b).powi(2)).sum();
        prop_assert!((found - expected).abs() <= 1e-12 * expected);
    }
}

/// Sizes at which the search begins in single precision, in few and in many dimensions.
#[test]
fn proves_itself_at_size() {
    for shape in crate::common::SHAPES {
        for (n, d) in [(400, 2), (400, 20)] {
            let (x, y) = clouds(shape, n, n, d, 7);
            for cost in [Cost::squared_euclidean(&x, &y), Cost::euclidean(&x, &y)] {
                check_assignment(&cost, &solve(&cost), rounding(&cost));
            }
        }
    }
}

#[test]
fn a_matrix_gives_what_its_clouds_give() {
    for n in [50, 400] {
        let (x, y) = clouds(Shape::Scaled, n, n, 3, 5);
        let matrix = Array2::from_shape_fn((n, n), |(i, j)| {
            Cost::squared_euclidean(&x, &y).get(i, j).unwrap()
        });
        let (cloud, matrix) =
            (solve(&Cost::squared_euclidean(&x, &y)), solve(&Cost::matrix(&matrix)));
        assert!((cloud.cost - matrix.cost).abs() <= 1e-12 * cloud.cost);
        assert_eq!(cloud.permutation, matrix.permutation);
    }
}

#[test]
fn single_precision_clouds_are_solved_exactly() {
    let (x, y) = clouds(Shape::Normal, 400, 400, 8, 11);
    let (x, y) = (x.mapv(|v| v as f32), y.mapv(|v| v as f32));
    let (wide_x, wide_y) = (x.mapv(f64::from), y.mapv(f64::from));
    let single =
        assignment(&Cost::squared_euclidean(&x, &y), &AssignmentOptions::default()).unwrap();
    assert_eq!(single, solve(&Cost::squared_euclidean(&wide_x, &wide_y)));
}

#[test]
fn a_warm_start_changes_nothing_but_the_way() {
    let mut solver = AssignmentSolver::new();
    for n in [60, 400] {
        let (x, y) = clouds(Shape::Shifted, n, n, 5, 3);
        let cost = Cost::squared_euclidean(&x, &y);
        let cold = solver.solve(&cost, &AssignmentOptions::default()).unwrap();
        for start in [cold.potentials.target.clone(), vec![0.0; n]] {
            let warm =
                solver.solve(&cost, &AssignmentOptions { warm_start: Some(&start) }).unwrap();
            assert_eq!(warm.permutation, cold.permutation);
            check_assignment(&cost, &warm, rounding(&cost));
        }
    }
}

#[test]
fn views_of_any_layout_are_read() {
    let (x, y) = clouds(Shape::Normal, 30, 30, 4, 9);
    let (columns_x, columns_y) = (x.t().to_owned(), y.t().to_owned());
    let turned = Cost::squared_euclidean(columns_x.t(), columns_y.t());
    assert_eq!(solve(&turned), solve(&Cost::squared_euclidean(&x, &y)));
}

#[test]
fn bad_input_is_one_clear_line() {
    let message = |cost: Cost<'_, f64>, options: &AssignmentOptions<'_>| {
        assignment(&cost, options).unwrap_err().to_string()
    };
    let default = AssignmentOptions::default();
    let (two, three) = (normal(2, 2, 0), normal(3, 2, 0));
    let none = Array2::<f64>::zeros((0, 2));
    assert_eq!(
        message(Cost::squared_euclidean(&none, &two), &default),
        "source: expected at least one entry, got none"
    );
    assert_eq!(
        message(Cost::matrix(&none), &default),
        "cost: expected at least one entry, got none"
    );
    assert_eq!(
        message(Cost::squared_euclidean(&three, &two), &default),
        "cost: expected at least 3 targets for 3 sources (else swap the two), got 2"
    );
    assert_eq!(
        message(Cost::euclidean(&two, &normal(2, 3, 0)), &default),
        "target: expected points of dimension 2, as in the source, got dimension 3"
    );
    let mut bad = two.clone();
    bad[[1, 1]] = f64::NAN;
    assert_eq!(
        message(Cost::squared_euclidean(&two, &bad), &default),
        "target: expected finite values, got NaN"
    );
    bad[[1, 1]] = f64::INFINITY;
    assert!(matches!(
        assignment(&Cost::matrix(&bad), &default),
        Err(Error::NonFinite { what: "cost", .. })
    ));
    bad[[1, 1]] = 1e200;
    assert!(matches!(
        assignment(&Cost::squared_euclidean(&two, &bad), &default),
        Err(Error::NonFinite { .. })
    ));
    let short = AssignmentOptions { warm_start: Some(&[0.0]) };
    assert_eq!(
        message(Cost::euclidean(&two, &two), &short),
        "warm_start: expected 2 potentials, one for each target, got 1"
    );
}
