use maxlik_data::text::metrics::{Frontier, Histograms};
use proptest::prelude::*;

const FINE: Frontier = Frontier { scaling: 5.0, mixtures: 20_001 };

#[test]
fn equal_and_disjoint() {
    let equal = Histograms::new(&[1.0, 2.0, 5.0], &[2.0, 4.0, 10.0]).unwrap();
    assert!((Frontier::default().area(&equal).unwrap() - 1.0).abs() < 1e-12);
    assert!(Frontier::integral(&equal).abs() < 1e-12);
    // Disjoint: the points are ((1 − w)^c, w^c), and the area c B(c + 1, c) = (c!)²/(2c)! = 1/252.
    let disjoint = Histograms::of_items(["a", "b"], ["c", "d"]).unwrap();
    assert!((FINE.area(&disjoint).unwrap() - 1.0 / 252.0).abs() < 1e-8);
    assert!((Frontier::integral(&disjoint) - 1.0).abs() < 1e-12);
    // With c = 1 the curve is the line from (0, 1) to (1, 0), at any number of points.
    let line = Frontier { scaling: 1.0, mixtures: 7 };
    assert!((line.area(&disjoint).unwrap() - 0.5).abs() < 1e-6);
}

#[test]
fn refusals() {
    let says = |p: &[f64], q: &[f64]| Histograms::new(p, q).unwrap_err().to_string();
    assert_eq!(says(&[1.0], &[1.0, 2.0]), "q: expected 1 bins, got 2");
    assert!(says(&[1.0, -1.0], &[1.0, 2.0]).starts_with("p: expected finite masses"));
    assert!(says(&[1.0], &[0.0]).starts_with("q: expected a positive sum"));
    let fine = Histograms::new(&[1.0], &[1.0]).unwrap();
    assert!(Frontier { mixtures: 1, ..FINE }.area(&fine).is_err());
    assert!(Frontier { scaling: 0.0, ..FINE }.points(&fine).is_err());
}

fn masses() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let mass = || prop_oneof![Just(0.0), 0.01..1.0_f64];
    prop::collection::vec((mass(), mass()), 1..8).prop_map(|pairs| {
        let (mut p, mut q): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        // A bin of both keeps the sums positive.
        p.push(0.3);
        q.push(0.2);
        (p, q)
    })
}

fn kl(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).filter(|(a, _)| **a > 0.0).map(|(a, b)| a * (a / b).ln()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The points are the divergences to the mixtures, and the integral is theirs over all weights.
    #[test]
    fn by_definition((p, q) in masses()) {
        let histograms = Histograms::new(&p, &q).unwrap();
        let normal = |m: &[f64]| -> Vec<f64> {
            let sum: f64 = m.iter().sum();
            m.iter().map(|m| m / sum).collect()
        };
        let (p, q) = (normal(&p), normal(&q));
        let frontier = Frontier { mixtures: 4001, ..Frontier::default() };
        let points = frontier.points(&histograms).unwrap();
        let mut integral = 0.0;
        for (at, point) in points.iter().enumerate() {
            let w = point.weight;
            let r: Vec<f64> = p.iter().zip(&q).map(|(p, q)| w * p + (1.0 - w) * q).collect();
            prop_assert!((point.p_to_mixture - kl(&p, &r)).abs() < 1e-9);
            prop_assert!((point.q_to_mixture - kl(&q, &r)).abs() < 1e-9);
            let both = 2.0 * (w * point.p_to_mixture + (1.0 - w) * point.q_to_mixture);
            let edge = if at == 0 || at + 1 == points.len() { 0.5 } else { 1.0 };
            integral += edge * both / (points.len() - 1) as f64;
        }
        prop_assert!((Frontier::integral(&histograms) - integral).abs() < 1e-5);
        let area = frontier.area(&histograms).unwrap();
        prop_assert!((0.0..=1.0 + 1e-12).contains(&area));
        let swapped = frontier.area(&Histograms::new(&q, &p).unwrap()).unwrap();
        prop_assert!((area - swapped).abs() < 1e-9, "the area is symmetric: {area}, {swapped}");
    }
}
