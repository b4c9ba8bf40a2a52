use maxlik_data::{Stream, below, normal, open_unit, permutation};
use proptest::prelude::*;
use rand_chacha::rand_core::RngCore;

#[test]
fn streams_are_fixed_for_all_time() {
    // Computed once; a change would change every split and every run.
    let first = |stream: Stream| stream.rng(0).next_u64();
    assert_eq!(first(Stream::new(0, "split")), SPLIT_WORD);
    assert_eq!(first(Stream::new(7, "noise").child(3)), NOISE_WORD);
}

const SPLIT_WORD: u64 = 5_549_182_840_468_938_399;
const NOISE_WORD: u64 = 5_349_185_893_619_741_768;

#[test]
fn names_counters_and_seeds_separate_streams() {
    let words: Vec<u64> = [
        Stream::new(0, "a").rng(0),
        Stream::new(0, "a").rng(1),
        Stream::new(0, "b").rng(0),
        Stream::new(1, "a").rng(0),
        Stream::new(0, "a").child(0).rng(0),
        Stream::new(0, "a").child(1).rng(0),
    ]
    .iter_mut()
    .map(|rng| rng.next_u64())
    .collect();
    for (i, a) in words.iter().enumerate() {
        assert!(words[i + 1..].iter().all(|b| a != b));
    }
}

#[test]
fn below_is_uniform() {
    let mut rng = Stream::new(0, "below").rng(0);
    let mut counts = [0_u32; 6];
    for _ in 0..60_000 {
        counts[below(&mut rng, 6) as usize] += 1;
    }
    let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4).sum();
    // The 99.9 % point of chi-square with 5 degrees of freedom.
    assert!(chi < 20.5, "{counts:?}");
    assert_eq!(below(&mut rng, 0), 0);
    assert_eq!(below(&mut rng, 1), 0);
}

#[test]
fn units_and_normals_have_their_moments() {
    let mut rng = Stream::new(0, "moments").rng(0);
    let n = 100_000;
    let units: Vec<f64> = (0..n).map(|_| open_unit(&mut rng)).collect();
    let mean = units.iter().sum::<f64>() / f64::from(n);
    assert!((mean - 0.5).abs() < 4.0 * (1.0 / 12.0_f64 / f64::from(n)).sqrt());
    assert!(units.iter().all(|&u| u > 0.0 && u < 1.0));
    let normals: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
    let mean = normals.iter().sum::<f64>() / f64::from(n);
    let square = normals.iter().map(|v| v * v).sum::<f64>() / f64::from(n);
    assert!(mean.abs() < 4.0 / f64::from(n).sqrt());
    assert!((square - 1.0).abs() < 4.0 * (2.0 / f64::from(n)).sqrt());
}

#[test]
fn every_permutation_is_as_likely() {
    let mut counts = std::collections::HashMap::new();
    for i in 0..24_000 {
        let order = permutation(4, &mut Stream::new(0, "permutations").rng(i));
        *counts.entry(order).or_insert(0_u32) += 1;
    }
    assert_eq!(counts.len(), 24);
    let chi: f64 = counts.values().map(|&c| (f64::from(c) - 1e3).powi(2) / 1e3).sum();
    // The 99.9 % point of chi-square with 23 degrees of freedom.
    assert!(chi < 49.8, "{chi}");
}

proptest! {
    #[test]
    fn permutations_hold_every_place_once(count in 0_usize..200, seed: u64) {
        let mut order = permutation(count, &mut Stream::new(seed, "p").rng(0));
        order.sort_unstable();
        prop_assert_eq!(order, (0..count).collect::<Vec<_>>());
    }

    #[test]
    fn below_stays_below(bound in 1_u64.., seed: u64) {
        prop_assert!(below(&mut Stream::new(seed, "b").rng(0), bound) < bound);
    }
}
