//! Pairings: exact, entropic, within classes.

use maxlik_model::{Batch, Objective, VectorField};
use maxlik_objectives::transport::{Coupling, FlowMatching, FlowMatchingConfig};
use maxlik_tensor::host;
use maxlik_testkit::{distance, normal};
use proptest::prelude::*;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

const OPTIMAL: Coupling = Coupling::Optimal {};

fn index(
    coupling: Coupling,
    source: &Tensor,
    data: &Tensor,
    classes: Option<&Tensor>,
) -> Vec<usize> {
    let found = coupling.pair(source, data, classes).unwrap();
    host::to_vec(&found).unwrap().into_iter().map(|i| i as usize).collect()
}

fn cost(source: &Tensor, data: &Tensor, index: &[usize]) -> f64 {
    let index: Vec<i64> = index.iter().map(|&i| i as i64).collect();
    let paired = source.index_select(0, &Tensor::from_slice(&index));
    (paired - data).square().sum(Kind::Double).double_value(&[])
}

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(n - 1);
    let insert = |at: usize| {
        shorter.iter().map(move |p| {
            let mut p = p.clone();
            p.insert(at, n - 1);
            p
        })
    };
    (0..n).flat_map(insert).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// No permutation is cheaper, and moving or turning both clouds changes nothing.
    #[test]
    fn the_optimal_pairing_is_the_cheapest(seed in 0_u64..1 << 40, rows in 1_i64..7) {
        let (source, data) = (normal(seed, &[rows, 2]), normal(seed + 1, &[rows, 2]) * 2.0 + 1.0);
        let found = index(OPTIMAL, &source, &data, None);
        let paid = cost(&source, &data, &found);
        let least = permutations(rows as usize).iter().map(|p| cost(&source, &data, p)).fold(f64::INFINITY, f64::min);
        prop_assert!((paid - least).abs() < 1e-9 * (1.0 + least));
        let turn = Tensor::from_slice(&[0.6, -0.8, 0.8, 0.6]).view([2, 2]);
        let moved = |x: &Tensor| x.matmul(&turn) + 3.0;
        prop_assert_eq!(&index(OPTIMAL, &moved(&source), &moved(&data), None), &found);
        let events = |x: &Tensor| x.view([rows, 1, 2]);
        prop_assert_eq!(index(OPTIMAL, &events(&source), &events(&data), None), found);
    }

    /// On the line the optimal pairing sorts.
    #[test]
    fn on_the_line_it_sorts(seed in 0_u64..1 << 40, rows in 2_i64..60) {
        let (source, data) = (normal(seed, &[rows, 1]), normal(seed + 1, &[rows, 1]));
        let index = OPTIMAL.pair(&source, &data, None).unwrap();
        let (_, order) = data.squeeze().sort(0, false);
        let paired = source.squeeze().index_select(0, &index).index_select(0, &order);
        let (sorted, _) = source.squeeze().sort(0, false);
        prop_assert!(distance(&paired, &sorted) == 0.0);
    }

    /// Within classes the pairing is each class's own, and no row of the source is lost.
    #[test]
    fn classes_are_paired_apart(seed in 0_u64..1 << 40) {
        let (source, data) = (normal(seed, &[30, 2]), normal(seed + 1, &[30, 2]));
        let classes = normal(seed + 2, &[30, 1]).sign();
        let found = index(OPTIMAL, &source, &data, Some(&classes));
        let label = host::to_vec(&classes).unwrap();
        for (row, &partner) in found.iter().enumerate() {
            prop_assert_eq!(label[row], label[partner]);
        }
        for sign in [-1.0, 1.0] {
            let rows: Vec<i64> = (0..30).filter(|&i| label[i as usize] == sign).collect();
            if rows.is_empty() { continue; }
            let part = Tensor::from_slice(&rows);
            let alone = index(OPTIMAL, &source.index_select(0, &part), &data.index_select(0, &part), None);
            for (&row, partner) in rows.iter().zip(alone) {
                prop_assert_eq!(found[row as usize] as i64, rows[partner]);
            }
        }
        let mut sorted = found;
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..30).collect::<Vec<_>>());
        let own = Tensor::arange(30, DOUBLE_CPU);
        prop_assert_eq!(index(OPTIMAL, &source, &data, Some(&own)), (0..30).collect::<Vec<_>>());
    }

    /// A small ε gives the optimal pairing, a large one independent draws.
    #[test]
    fn the_entropic_pairing_has_its_limits(seed in 0_u64..1 << 40) {
        let (source, data) = (normal(seed, &[8, 2]), normal(seed + 1, &[8, 2]));
        let uniform = (normal(seed + 2, &[8]) * 0.3 + 0.5).clamp(0.01, 0.99);
        let pair = |epsilon| {
            let coupling = Coupling::Entropic { epsilon };
            host::to_vec(&coupling.pair_at(&source, &data, None, &uniform).unwrap()).unwrap()
        };
        let drawn: Vec<f64> = host::to_vec(&(&uniform * 8.0).floor()).unwrap();
        prop_assert_eq!(pair(1e9), drawn);
        let optimal: Vec<usize> = pair(1e-4).into_iter().map(|i| i as usize).collect();
        let gap = cost(&source, &data, &optimal) - cost(&source, &data, &index(OPTIMAL, &source, &data, None));
        prop_assert!(gap.abs() < 0.01, "{gap}");
    }
}

/// With evenly spaced uniform numbers the frequencies of partners are the plan's rows, whose columns
/// sum to one: no part of the source is left out.
#[test]
fn entropic_pairs_have_the_law_of_the_plan() {
    let (source, data) = (normal(1, &[5, 2]), normal(2, &[5, 2]));
    let coupling = Coupling::Entropic { epsilon: 1.5 };
    let draws = 4000;
    let mut plan = [[0.0; 5]; 5];
    for k in 0..draws {
        let u = Tensor::full([5], (f64::from(k) + 0.5) / f64::from(draws), DOUBLE_CPU);
        let found = coupling.pair_at(&source, &data, None, &u).unwrap();
        for (row, partner) in host::to_vec(&found).unwrap().into_iter().enumerate() {
            plan[row][partner as usize] += 1.0 / f64::from(draws);
        }
    }
    for j in 0..5 {
        let column: f64 = plan.iter().map(|row| row[j]).sum();
        assert!((column - 1.0).abs() < 5e-3, "{column}");
    }
    // P_ij P_kl = P_il P_kj exp(−(c_ij + c_kl − c_il − c_kj)/ε).
    let c =
        |i: i64, j: i64| (data.get(i) - source.get(j)).square().sum(Kind::Double).double_value(&[]);
    let change = -(c(0, 0) + c(1, 1) - c(0, 1) - c(1, 0)) / 1.5;
    let odds = (plan[0][0] * plan[1][1] / (plan[0][1] * plan[1][0])).ln();
    assert!((odds - change).abs() < 0.05, "{odds} {change}");
}

#[test]
fn single_precision_pairs_alike_and_gradients_stop() {
    let (source, data) = (normal(3, &[64, 3]), normal(4, &[64, 3]));
    let single = |x: &Tensor| x.to_kind(Kind::Float);
    assert_eq!(
        index(OPTIMAL, &source, &data, None),
        index(OPTIMAL, &single(&source), &single(&data).set_requires_grad(true), None)
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let (source, data) = (normal(1, &[4, 2]), normal(2, &[4, 2]));
    let says = |coupling: Coupling, source: &Tensor, classes: Option<&Tensor>| {
        coupling.pair(source, &data, classes).unwrap_err().to_string()
    };
    assert_eq!(
        says(OPTIMAL, &normal(1, &[3, 2]), None),
        "source: expected shape [4, 2], got [3, 2]"
    );
    assert!(
        says(Coupling::Entropic { epsilon: 0.0 }, &source, None).starts_with("epsilon: expected")
    );
    assert_eq!(
        says(OPTIMAL, &source, Some(&normal(1, &[3]))),
        "classes: expected shape [4, …], got [3]"
    );
    assert!(says(OPTIMAL, &(&source / 0.0), None).contains("not finite"));
    let weighted =
        Batch { weight: Some(Tensor::ones([4], DOUBLE_CPU)), ..Batch::new(data.shallow_clone()) };
    let objective = FlowMatching::optimal(0.0).unwrap();
    assert!(objective.loss_between(&Rest, &source, &weighted).is_err());
}

#[derive(Debug)]
struct Rest;

impl VectorField for Rest {
    fn velocity(
        &self,
        _t: &Tensor,
        x: &Tensor,
        _c: Option<&Tensor>,
    ) -> maxlik_tensor::Result<Tensor> {
        Ok(x.zeros_like())
    }
}

/// Every variant builds from its configuration, and the loss of a field at rest is what its pairs cost.
#[test]
fn variants_come_from_their_configuration() {
    let data = normal(5, &[40, 2]) + 4.0;
    for text in [
        r#"{ "variant": "independent", "sigma": 0.1 }"#,
        r#"{ "variant": "optimal" }"#,
        r#"{ "variant": "schroedinger_bridge", "sigma": 0.5 }"#,
        r#"{ "variant": "target", "sigma": 0.1 }"#,
        r#"{ "variant": "variance_preserving" }"#,
        r#"{ "variant": "rectified" }"#,
        r#"{ "variant": "custom", "path": { "kind": "straight", "sigma": 0.0 }, "coupling": { "kind": "optimal" } }"#,
    ] {
        let config: FlowMatchingConfig = serde_json::from_str(text).unwrap();
        let objective = config.build().unwrap();
        let batch = Batch::new(data.shallow_clone());
        let loss = objective.loss(&Rest as &dyn VectorField, &batch).unwrap().value;
        assert!(loss.double_value(&[]).is_finite(), "{text}");
    }
    let unknown = r#"{ "variant": "optimal", "sigam": 0.1 }"#;
    assert!(serde_json::from_str::<FlowMatchingConfig>(unknown).is_err());
    let source = normal(6, &[40, 2]);
    let batch = Batch::new(data.shallow_clone());
    let loss =
        FlowMatching::optimal(0.0).unwrap().loss_between(&Rest, &source, &batch).unwrap().value;
    let paid = cost(&source, &data, &index(OPTIMAL, &source, &data, None)) / 40.0;
    assert!((loss.double_value(&[]) - paid).abs() < 1e-12);
}
