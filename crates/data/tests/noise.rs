use maxlik_data::random::Stream;
use maxlik_data::text::noise::{drop_words, shuffle_sentences, shuffle_words};
use proptest::prelude::*;

fn rng(seed: u64) -> rand_chacha::ChaCha8Rng {
    Stream::new(seed, "noise").rng(0)
}

fn sorted(words: &[u8]) -> Vec<u8> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Numbered words: where each was is seen from its number.
    #[test]
    fn words_move_a_few_places(seed in 0_u64..1 << 40, count in 0_usize..60, k in 0_usize..6) {
        let words: Vec<usize> = (0..count).collect();
        let moved = shuffle_words(&words, k, &mut rng(seed));
        for (place, &word) in moved.iter().enumerate() {
            prop_assert!(place.abs_diff(word) <= k, "{word} at {place}");
        }
        let mut back = moved.clone();
        back.sort_unstable();
        prop_assert_eq!(&back, &words);
        prop_assert!(k > 0 || moved == words);
        prop_assert_eq!(shuffle_words(&words, k, &mut rng(seed)), moved);
    }

    /// The same words, as many separators, one at the end where one was; the sentences are those before,
    /// each a few places away.
    #[test]
    fn sentences_move_whole(
        seed in 0_u64..1 << 40,
        words in proptest::collection::vec(0_u8..5, 0..40),
        k in 0_usize..4,
    ) {
        let moved = shuffle_sentences(&words, &0, k, &mut rng(seed));
        prop_assert_eq!(sorted(&moved), sorted(&words));
        prop_assert!(k > 0 || moved == words);
        prop_assert!(words.last() != Some(&0) || moved.last() == Some(&0));
        // Sentences that differ, so that each can be found again.
        let numbered: Vec<u8> = (1..9).flat_map(|i| [i, i + 10, 0]).collect();
        let moved = shuffle_sentences(&numbered, &0, k, &mut rng(seed));
        for (place, sentence) in moved.chunks_exact(3).enumerate() {
            prop_assert!(sentence[1] == sentence[0] + 10 && sentence[2] == 0);
            prop_assert!((place + 1).abs_diff(usize::from(sentence[0])) <= k);
        }
    }

    #[test]
    fn dropped_words_leave_the_others_in_order(seed in 0_u64..1 << 40, p in 0.0_f64..1.0) {
        let words: Vec<usize> = (0..50).collect();
        let drop = |p: f64| drop_words(&words, p, |word| word % 10 == 9, &mut rng(seed)).unwrap();
        let left = drop(p);
        prop_assert!(left.is_sorted());
        prop_assert_eq!(left.iter().filter(|&word| word % 10 == 9).count(), 5);
        prop_assert_eq!(drop(0.0), words.clone());
        prop_assert_eq!(drop(1.0).len(), 5);
    }
}

/// A tenth of the words is left out, and a shuffle of one place is a fair coin for two words: within five
/// standard errors.
#[test]
fn noise_is_as_strong_as_said() {
    let words = vec![1_u8; 20_000];
    let left = drop_words(&words, 0.1, |_| false, &mut rng(3)).unwrap().len();
    assert!((left as f64 - 18_000.0).abs() < 5.0 * (20_000.0_f64 * 0.09).sqrt(), "{left}");
    assert!(drop_words(&words, 1.5, |_| false, &mut rng(3)).is_err());
    // The second of two words comes first where u₂ + 1/2 < u₁: one time in eight.
    let mut stream = rng(4);
    let swapped = (0..20_000).filter(|_| shuffle_words(&[0, 1], 1, &mut stream) == [1, 0]).count();
    let error = (20_000.0_f64 * 0.125 * 0.875).sqrt();
    assert!((swapped as f64 - 2500.0).abs() < 5.0 * error, "{swapped}");
}
