use maxlik_data::text::metrics::{
    Bleu, BleuTokens, Chrf, Rouge, RougeKind, Smoothing, kendall_tau, set_overlap,
};
use proptest::prelude::*;

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("(?s)[a-e .,ä-]{0,12}|.{0,6}", 2..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    /// No text breaks anything, and scores stay within 0 and 100.
    #[test]
    fn scores_are_scores(texts in texts()) {
        let (hypothesis, references) = texts.split_first().unwrap();
        for tokens in [BleuTokens::V13a, BleuTokens::Blanks, BleuTokens::Characters] {
            let bleu = Bleu { tokens, ..Bleu::sentence_level() };
            let score = bleu.sentence(hypothesis, references).unwrap().score;
            prop_assert!((0.0..=100.0 + 1e-9).contains(&score));
            // A reference more takes no n-gram away, and the order of references is nothing.
            let turned: Vec<&String> = references.iter().rev().collect();
            prop_assert_eq!(bleu.sentence(hypothesis, &turned).unwrap().score, score);
        }
        for chrf in [Chrf::default(), Chrf::plus_plus()] {
            let score = chrf.sentence(hypothesis, references).unwrap();
            prop_assert!((0.0..=100.0 + 1e-9).contains(&score));
        }
        for kind in [RougeKind::Ngrams { n: 2 }, RougeKind::Longest, RougeKind::LongestByLine] {
            let score = Rouge::new(kind).best(references, hypothesis).unwrap();
            prop_assert!((0.0..=1.0).contains(&score.precision));
            prop_assert!((0.0..=1.0).contains(&score.recall));
            prop_assert!((0.0..=1.0).contains(&score.f1));
            // Both sides exchanged: precision and recall are too, but for lines.
            if kind != RougeKind::LongestByLine {
                let there = Rouge::new(kind).score(&references[0], hypothesis);
                let back = Rouge::new(kind).score(hypothesis, &references[0]);
                prop_assert_eq!((there.precision, there.recall), (back.recall, back.precision));
            }
        }
        prop_assert_eq!(
            set_overlap(hypothesis.as_bytes(), references[0].as_bytes(), 2).f1,
            set_overlap(references[0].as_bytes(), hypothesis.as_bytes(), 2).f1
        );
    }

    /// A text is a perfect copy of itself.
    #[test]
    fn of_itself(words in prop::collection::vec("[a-z]{1,4}", 1..9)) {
        let text = words.join(" ");
        let bleu = Bleu::sentence_level().sentence(&text, &[&text]).unwrap();
        prop_assert!((bleu.score - 100.0).abs() < 1e-9 && bleu.brevity == 1.0);
        prop_assert!((Chrf::plus_plus().sentence(&text, &[&text]).unwrap() - 100.0).abs() < 1e-9);
        for kind in [RougeKind::Ngrams { n: 1 }, RougeKind::Longest, RougeKind::LongestByLine] {
            prop_assert_eq!(Rouge::new(kind).score(&text, &text).f1, 1.0);
        }
        prop_assert_eq!(set_overlap(&words, &words, 3).f1, 1.0);
    }

    /// τ only sees the order, changes sign with it, and is symmetric.
    #[test]
    fn tau(pairs in prop::collection::vec((-9..9_i32, -9..9_i32), 2..12)) {
        let (x, y): (Vec<f64>, Vec<f64>) =
            pairs.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).unzip();
        let tau = kendall_tau(&x, &y).unwrap();
        let bent: Vec<f64> = x.iter().map(|x| x.powi(3) + 1.0).collect();
        let turned: Vec<f64> = y.iter().map(|y| -y).collect();
        for (other, sign) in [
            (kendall_tau(&bent, &y).unwrap(), 1.0),
            (kendall_tau(&x, &turned).unwrap(), -1.0),
            (kendall_tau(&y, &x).unwrap(), 1.0),
        ] {
            prop_assert!(tau.is_nan() && other.is_nan() || (tau - sign * other).abs() < 1e-12);
        }
        prop_assert!(tau.is_nan() || tau.abs() <= 1.0 + 1e-12);
    }
}

#[test]
fn refusals() {
    let says = |bleu: Bleu| bleu.sentence("a", &["a"]).unwrap_err().to_string();
    assert_eq!(says(Bleu { order: 0, ..Bleu::default() }), "order: expected at least 1, got 0");
    let smoothing = Smoothing::AddK { k: f64::NAN };
    assert!(says(Bleu { smoothing, ..Bleu::default() }).contains("got NaN"));
    let none: [&str; 0] = [];
    assert!(Bleu::default().sentence("a", &none).is_err());
    assert!(Chrf::default().corpus(&none, &[] as &[Vec<&str>]).is_err());
    assert!(Chrf::default().corpus(&["a"], &[vec!["a"], vec!["b"]]).is_err());
    assert!(Chrf { characters: 0, ..Chrf::default() }.sentence("a", &["a"]).is_err());
    assert!(Chrf { beta: 0.0, ..Chrf::default() }.sentence("a", &["a"]).is_err());
    assert!(Rouge::new(RougeKind::Longest).best(&none, "a").is_none());
    assert!(kendall_tau(&[1.0], &[1.0, 2.0]).is_err());
    assert!(kendall_tau(&[1.0, f64::NAN], &[1.0, 2.0]).is_err());
    assert!(kendall_tau(&[1.0, 1.0], &[1.0, 2.0]).unwrap().is_nan());
}
