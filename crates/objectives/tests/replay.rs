use maxlik_objectives::sequence::Replay;
use maxlik_tensor::with_seed;
use proptest::prelude::*;

/// The edit distance by its recursion.
fn edits(a: &[i64], b: &[i64]) -> usize {
    match (a, b) {
        ([], _) => b.len(),
        (_, []) => a.len(),
        ([x, a_rest @ ..], [y, b_rest @ ..]) => {
            let replaced = edits(a_rest, b_rest) + usize::from(x != y);
            replaced.min(edits(a_rest, b) + 1).min(edits(a, b_rest) + 1)
        }
    }
}

fn sequences() -> impl Strategy<Value = Vec<(Vec<i64>, f64)>> {
    let one = (proptest::collection::vec(1_i64..4, 0..5), -5.0_f64..5.0);
    proptest::collection::vec(one, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Without tolerance: the best distinct sequences, in whatever order they were offered.
    #[test]
    fn the_best_distinct_sequences(offers in sequences(), capacity in 1_usize..12) {
        let mut replay = Replay::new(capacity, 0.0).unwrap();
        for (tokens, log_reward) in &offers {
            replay.offer(tokens, *log_reward);
        }
        let mut sorted = offers.clone();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut best: Vec<(Vec<i64>, f64)> = Vec::new();
        for (tokens, log_reward) in sorted {
            if best.iter().all(|(kept, _)| *kept != tokens) {
                best.push((tokens, log_reward));
            }
        }
        best.truncate(capacity);
        let kept = replay.items().iter().map(|item| (item.tokens.clone(), item.log_reward));
        prop_assert_eq!(kept.collect::<Vec<_>>(), best);
    }

    /// With one: no two near-duplicates, best first, the very best always there; and what is offered
    /// again is refused.
    #[test]
    fn no_two_are_alike(offers in sequences(), tolerance in 0.05_f64..0.6) {
        let mut replay = Replay::new(8, tolerance).unwrap();
        for (tokens, log_reward) in &offers {
            let before = replay.items().to_vec();
            if !replay.offer(tokens, *log_reward) {
                prop_assert_eq!(replay.items(), before.as_slice());
            }
        }
        let items = replay.items();
        prop_assert!(items.len() <= 8);
        let best = offers.iter().map(|(_, log_reward)| *log_reward).reduce(f64::max);
        prop_assert_eq!(items.first().map(|item| item.log_reward), best);
        for (i, a) in items.iter().enumerate() {
            for b in &items[i + 1..] {
                prop_assert!(a.log_reward >= b.log_reward && a.tokens != b.tokens);
                let room = tolerance * (a.tokens.len() + b.tokens.len()) as f64;
                prop_assert!(edits(&a.tokens, &b.tokens) as f64 >= room, "{a:?} {b:?}");
            }
        }
        let kept = items.to_vec();
        for item in kept {
            prop_assert!(!replay.offer(&item.tokens, item.log_reward));
        }
    }
}

/// Draws are of what is kept, each as often as the others, with ends behind them.
#[test]
fn draws() {
    let mut replay = Replay::new(3, 0.0).unwrap();
    assert!(replay.sample(1, 4, 0).is_err(), "nothing is there");
    assert!(!replay.offer(&[1], f64::NAN) && !replay.offer(&[1], f64::NEG_INFINITY));
    let kept: [&[i64]; 3] = [&[3, 2, 1], &[], &[2]];
    for (tokens, log_reward) in kept.iter().zip([3.0, 2.0, 1.0]) {
        assert!(replay.offer(tokens, log_reward));
    }
    assert!(!replay.offer(&[1, 1], 0.5), "worse than a full memory");
    let rows = with_seed(4, || replay.sample(3000, 4, 9)).unwrap();
    assert_eq!(rows.size(), [3000, 4]);
    let mut seen = [0; 3];
    for row in 0..3000 {
        let row = Vec::<i64>::try_from(rows.get(row)).unwrap();
        let found = kept.iter().position(|tokens| {
            row.iter().enumerate().all(|(t, &token)| token == tokens.get(t).copied().unwrap_or(9))
        });
        seen[found.expect("one of those kept")] += 1;
    }
    // Five standard errors of a share of a third.
    assert!(seen.iter().all(|&n| f64::from(n - 1000_i32).abs() < 5.0 * 25.8), "{seen:?}");
    assert!(replay.sample(1, 2, 9).is_err(), "three tokens do not fit");
    assert!(Replay::new(0, 0.0).is_err() && Replay::new(1, 1.5).is_err());
}
