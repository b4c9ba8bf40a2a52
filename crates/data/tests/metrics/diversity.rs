use maxlik_data::text::metrics::{Bleu, BleuTokens, Nats, distinct, repetition, self_bleu};
use proptest::prelude::*;

#[test]
fn by_hand() {
    // Pairs: ab, ba, ab | ab, bc: three different ones of five.
    let texts = [vec!['a', 'b', 'a', 'b'], vec!['a', 'b', 'c']];
    assert_eq!(distinct(&texts, 2), 0.6);
    assert_eq!(distinct(&texts, 1), 3.0 / 7.0);
    assert!(distinct(&texts, 9).is_nan());
    assert_eq!(repetition(&texts[0], 2), 1.0 - 2.0 / 3.0);
    assert_eq!(repetition(&texts[1], 2), 0.0);
    assert_eq!(repetition(&texts[1], 9), 0.0);
    assert_eq!(repetition(&[1; 11], 1), 1.0 - 1.0 / 11.0);
}

#[test]
fn perplexity_of_the_uniform_model() {
    // Every byte with probability 1/256, for two texts of which one has two bytes a letter.
    let nats = |text: &str| text.len() as f64 * 256_f64.ln();
    let of = |text: &str| Nats::of(nats(text), text.len(), text);
    let both = of("to be").and(of("äh"));
    assert_eq!((both.tokens, both.words, both.bytes), (8, 3, 8));
    assert!((both.per_byte() - 256.0).abs() < 1e-9 && (both.per_token() - 256.0).abs() < 1e-9);
    assert!((both.bits_per_byte() - 8.0).abs() < 1e-12);
    assert!((both.per_word().ln() - 8.0 * 256_f64.ln() / 3.0).abs() < 1e-12);
}

#[test]
fn self_bleu_of_copies_and_strangers() {
    let bleu = Bleu::sentence_level();
    let same = self_bleu(&["a b c d e"; 3], &bleu).unwrap();
    assert!((same - 100.0).abs() < 1e-9, "{same}");
    assert_eq!(self_bleu(&["a b c", "d e f"], &bleu).unwrap(), 0.0);
    assert!(self_bleu(&["alone"], &bleu).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The short way over the two largest counts is the definition.
    #[test]
    fn self_bleu_is_the_mean_over_all_others(
        texts in prop::collection::vec("[ab ]{0,9}", 2..6),
        effective_order in any::<bool>(),
    ) {
        let bleu = Bleu { effective_order, tokens: BleuTokens::Blanks, ..Bleu::default() };
        let mut sum = 0.0;
        for (at, text) in texts.iter().enumerate() {
            let others = texts.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<&String> = others.map(|(_, text)| text).collect();
            sum += bleu.sentence(text, &others).unwrap().score;
        }
        let quick = self_bleu(&texts, &bleu).unwrap();
        prop_assert!((quick - sum / texts.len() as f64).abs() < 1e-9);
    }
}
