//! Transport between unequal masses.

use maxlik_transport::{
    AssignmentOptions, Cost, EmdOptions, Plan, assignment, emd, wasserstein_1d_weighted,
};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

use crate::common::{Shape, check_plan, clouds, masses, normal, rng, rounding, shapes};

fn solve(a: &Array1<f64>, b: &Array1<f64>, cost: &Cost<'_, f64>) -> Plan {
    emd(a.view(), b.view(), cost, &EmdOptions::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn proves_itself(shape in shapes(), n in 1_usize..50, m in 1_usize..50, d in 1_usize..6, seed in 0_u64..1000) {
        let (x, y) = clouds(shape, n, m, d, seed);
        let (a, b) = (masses(n, seed), masses(m, seed + 7));
        for cost in [Cost::squared_euclidean(&x, &y), Cost::euclidean(&x, &y)] {
            check_plan(&a, &b, &cost, &solve(&a, &b, &cost), rounding(&cost));
        }
    }

    /// Points of mass k/N are k points of mass 1/N.
    #[test]
    fn equals_the_assignment_of_split_points(n in 1_usize..8, m in 1_usize..8, seed in 0_u64..1000) {
        let (x, y) = clouds(Shape::Scaled, n, m, 2, seed);
        let mut random = rng(seed);
        let total = 24;
        let mut share = |points: usize| {
            let mut counts = vec![0; points];
            (0..total).for_each(|_| counts[rand::Rng::random_range(&mut random, 0..points)] += 1);
            counts
        };
        let (of_x, of_y) = (share(n), share(m));
        let split = |cloud: &Array2<f64>, counts: &[usize]| {
            let rows: Vec<usize> = counts.iter().enumerate().flat_map(|(i, &k)| vec![i; k]).collect();
            cloud.select(ndarray::Axis(0), &rows)
        };
        let masses = |counts: &[usize]| counts.iter().map(|&k| k as f64 / total as f64).collect();
        let plan = solve(&masses(&of_x), &masses(&of_y), &Cost::squared_euclidean(&x, &y));
        let (many_x, many_y) = (split(&x, &of_x), split(&y, &of_y));
        let best = assignment(&Cost::squared_euclidean(&many_x, &many_y), &AssignmentOptions::default()).unwrap();
        prop_assert!((plan.cost - best.cost / total as f64).abs() <= 1e-12 * (1.0 + plan.cost));
    }

    #[test]
    fn equals_sorting_on_the_line(n in 1_usize..60, m in 1_usize..60, seed in 0_u64..1000) {
        let (x, y) = clouds(Shape::Shifted, n, m, 1, seed);
        let (a, b) = (masses(n, seed), masses(m, seed + 7));
        let plan = solve(&a, &b, &Cost::squared_euclidean(&x, &y));
        let line = wasserstein_1d_weighted(x.column(0), a.view(), y.column(0), b.view(), 2.0).unwrap();
        prop_assert!((plan.cost - line.powi(2)).abs() <= 1e-12 * plan.cost + 1e-13);
    }
}

#[test]
fn proves_itself_at_size() {
    for (n, m, d) in [(300, 300, 2), (150, 600, 8), (600, 40, 3)] {
        let (x, y) = clouds(Shape::Scaled, n, m, d, 3);
        let (a, b) = (masses(n, 1), masses(m, 2));
        let cost = Cost::squared_euclidean(&x, &y);
        check_plan(&a, &b, &cost, &solve(&a, &b, &cost), rounding(&cost));
    }
}

#[test]
fn equal_masses_are_an_assignment() {
    let (x, y) = clouds(Shape::Normal, 40, 40, 3, 1);
    let cost = Cost::squared_euclidean(&x, &y);
    let equal = Array1::from_elem(40, 0.5);
    let plan = solve(&equal, &equal, &cost);
    let best = assignment(&cost, &AssignmentOptions::default()).unwrap();
    assert!(plan.flows.iter().all(|f| f.mass == 0.5 && best.permutation[f.source] == f.target));
    assert!((plan.cost - 0.5 * best.cost).abs() < 1e-12 * plan.cost);
}

#[test]
fn a_warm_start_finds_the_same_cost() {
    let (x, y) = clouds(Shape::Shifted, 60, 45, 4, 3);
    let (a, b) = (masses(60, 5), masses(45, 6));
    let cost = Cost::squared_euclidean(&x, &y);
    let cold = solve(&a, &b, &cost);
    let options = EmdOptions { warm_start: Some(&cold.potentials.target) };
    let warm = emd(a.view(), b.view(), &cost, &options).unwrap();
    assert!((warm.cost - cold.cost).abs() <= 1e-13 * cold.cost);
}

#[test]
fn pairs_are_drawn_by_mass() {
    let plan = solve(
        &array![0.75, 0.25],
        &array![0.4, 0.6],
        &Cost::matrix(&array![[2.0, 1.0], [1.0, 2.0]]),
    );
    let pairs = plan.sample(40_000, &mut rng(1));
    assert_eq!(plan.flows.len(), 3);
    for flow in &plan.flows {
        let share = pairs.iter().filter(|&&pair| pair == (flow.source, flow.target)).count() as f64
            / 40_000.0;
        let spread = (flow.mass * (1.0 - flow.mass) / 40_000.0).sqrt();
        assert!((share - flow.mass).abs() < 5.0 * spread, "{flow:?} was drawn {share}");
    }
}

#[test]
fn single_precision_masses_need_not_add_up_exactly() {
    let third = Array1::from_elem(3, 1.0_f32 / 3.0);
    let (x, y) = (normal(3, 2, 1).mapv(|v| v as f32), normal(2, 2, 2).mapv(|v| v as f32));
    let halves = Array1::from_elem(2, 0.5_f32);
    let plan =
        emd(third.view(), halves.view(), &Cost::euclidean(&x, &y), &EmdOptions::default()).unwrap();
    let total: f64 = plan.flows.iter().map(|f| f.mass).sum();
    assert!((total - 1.0).abs() < 1e-7);
}

#[test]
fn bad_masses_are_one_clear_line() {
    let cost = Array2::<f64>::ones((2, 2));
    let message = |a: Array1<f64>, b: Array1<f64>| {
        emd(a.view(), b.view(), &Cost::matrix(&cost), &EmdOptions::default())
            .unwrap_err()
            .to_string()
    };
    let half = array![0.5, 0.5];
    assert_eq!(
        message(half.clone(), array![1.5, -0.5]),
        "target masses: expected masses of zero or more, got -0.5"
    );
    assert_eq!(
        message(array![0.5, 0.6], half.clone()),
        "masses: expected equal positive totals, got 1.1 at the source and 1 at the target"
    );
    assert_eq!(
        message(array![0.0, 0.0], array![0.0, 0.0]),
        "masses: expected equal positive totals, got 0 at the source and 0 at the target"
    );
    assert_eq!(
        message(array![1.0], half.clone()),
        "source masses: expected 2 masses, one for each point, got 1"
    );
    assert_eq!(
        message(half, array![f64::NAN, 1.0]),
        "target masses: expected finite values, got NaN"
    );
}
