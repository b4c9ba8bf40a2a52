//! The exact properties of minimum Bayes risk decoding.

use maxlik_nn::decode::{Choice, Generation, MinimumRisk, Sampling};
use maxlik_nn::{BigramTable, Params};
use maxlik_tensor::with_seed;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

fn samples() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..3_u8, 0..4), 1..20)
}

/// Some utility in 0 to 1 that is not symmetric: the share of places where both agree.
fn agreement(h: &[u8], y: &[u8]) -> f64 {
    let same = h.iter().zip(y).filter(|(a, b)| a == b).count();
    (1 + same) as f64 / (1 + h.len().max(2)) as f64
}

fn exact(h: &[u8], y: &[u8]) -> f64 {
    f64::from(u8::from(h == y))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn properties(samples in samples(), scale in 0.1..5.0_f64, shift in -3.0..3.0_f64) {
        let ranked = |samples: &[Vec<u8>]| -> Vec<(Vec<u8>, f64)> {
            let all = MinimumRisk::of(samples).unwrap().ranked(|h, y| agreement(h, y)).unwrap();
            all.iter().map(|r| (r.candidate.clone(), r.utility)).collect()
        };
        let plain = ranked(&samples);
        // By definition, with duplicates kept, and best first.
        for (candidate, utility) in &plain {
            let sum: f64 = samples.iter().map(|y| agreement(candidate, y)).sum();
            prop_assert!((utility - sum / samples.len() as f64).abs() < 1e-12);
        }
        prop_assert!(plain.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        // The order of samples is nothing, and neither is every sample coming twice.
        let mut turned = samples.clone();
        turned.reverse();
        prop_assert_eq!(&ranked(&turned), &plain);
        let doubled = ranked(&[samples.clone(), samples.clone()].concat());
        prop_assert_eq!(&doubled[0].0, &plain[0].0);
        // Positive affine changes of the utility do not move the ranking where it was strict.
        let risk = MinimumRisk::of(&samples).unwrap();
        let affine = risk.best(|h, y| scale * agreement(h, y) + shift).unwrap();
        let strict = plain.len() == 1 || plain[0].1 - plain[1].1 > 1e-9;
        prop_assert!(!strict || *affine.candidate == plain[0].0);
        // A constant utility: the smallest candidate, by the rule for ties.
        prop_assert_eq!(risk.best(|_, _| 0.5).unwrap().candidate, samples.iter().min().unwrap());
        // "Equal or not": the share of the most frequent sample.
        let most = samples.iter().map(|h| samples.iter().filter(|y| *y == h).count()).max().unwrap();
        let mode = risk.best(|h, y| exact(h, y)).unwrap();
        prop_assert!((mode.utility - most as f64 / samples.len() as f64).abs() < 1e-12);
        prop_assert_eq!(mode.share, mode.utility);
        // Coarse to fine with everything kept is the fine ranking; with one kept, the coarse best.
        let whole = risk.coarse_to_fine(|h, y| exact(h, y), usize::MAX, |h, y| agreement(h, y));
        prop_assert_eq!(whole.unwrap(), risk.ranked(|h, y| agreement(h, y)).unwrap());
        let one = risk.coarse_to_fine(|h, y| exact(h, y), 1, |h, y| agreement(h, y)).unwrap();
        prop_assert_eq!((one.len(), one[0].candidate, one[0].share), (1, mode.candidate, mode.share));
        prop_assert_eq!(risk.candidates(), plain.len());
    }
}

/// The matrix of unigram precisions in the tests of the paper's code picks the first sentence.
#[test]
fn precision_of_three_sentences() {
    let samples = [
        "George went to school by bike today .",
        "Today , George went to school by bike .",
        "This is a completely unrelated sentence .",
    ];
    let precision = |h: &&str, y: &&str| {
        let words: Vec<&str> = h.split(' ').collect();
        let known = words.iter().filter(|w| y.split(' ').any(|other| other == **w)).count();
        known as f64 / words.len() as f64
    };
    let best = MinimumRisk::of(&samples).unwrap().best(precision).unwrap();
    assert_eq!(*best.candidate, samples[0]);
    assert!((best.utility - (1.0 + 7.0 / 8.0 + 1.0 / 8.0) / 3.0).abs() < 1e-12);
}

/// The estimate is within Hoeffding's bound of the exact expectation, as often as it says.
#[test]
fn estimates_are_within_hoeffdings_bound() {
    // One token after the first, with known probabilities; utility 1 for a neighbour, else 0.
    let p = [0.4, 0.3, 0.2, 0.1];
    let params = Params::new(0, Kind::Double, Device::Cpu);
    let model = BigramTable::new(&params.root(), 4).unwrap();
    let table = Tensor::from_slice(&p).log().repeat([4, 1]);
    params.load(&[("table".to_owned(), table)]).unwrap();
    let near = |h: i64, y: i64| f64::from(u8::from((h - y).abs() <= 1));
    let expected = |h: i64| -> f64 { p.iter().zip(0..).map(|(p, y)| p * near(h, y)).sum() };
    let (count, delta) = (200_i64, 0.05_f64);
    let bound = ((2.0 / delta).ln() / (2.0 * count as f64)).sqrt();
    let choice = Choice::Sample(Sampling::default());
    let generation = Generation { tokens: 1, choice, end: None, pad: 0 };
    let mut outside = 0;
    for seed in 0..100 {
        let prompts = Tensor::zeros([count, 1], (Kind::Int64, Device::Cpu));
        let session = &mut *maxlik_model::LanguageModel::session(&model);
        let drawn = with_seed(seed, || generation.run(session, &prompts).unwrap());
        let samples = drawn.sequences().unwrap();
        let risk = MinimumRisk::of(&samples).unwrap();
        for rated in risk.ranked(|h, y| near(h[0], y[0])).unwrap() {
            outside += usize::from((rated.utility - expected(rated.candidate[0])).abs() > bound);
        }
    }
    assert!(outside as f64 <= delta * 400.0, "{outside} of 400 outside");
}

#[test]
fn sequences_end_where_they_end() {
    let params = Params::new(0, Kind::Double, Device::Cpu);
    let model = BigramTable::new(&params.root(), 3).unwrap();
    let prompts = Tensor::zeros([50, 1], (Kind::Int64, Device::Cpu));
    let generation = Generation { tokens: 6, end: Some(2), pad: 0, ..Generation::default() };
    let session = &mut *maxlik_model::LanguageModel::session(&model);
    let drawn = with_seed(3, || generation.run(session, &prompts).unwrap());
    let sequences = drawn.sequences().unwrap();
    let total: usize = sequences.iter().map(Vec::len).sum();
    assert_eq!(total as f64, drawn.weight.sum(Kind::Double).double_value(&[]));
    for (row, sequence) in sequences.iter().enumerate() {
        let place = sequence.iter().position(|token| *token == 2);
        assert!(place.map_or(sequence.len() == 6, |at| at + 1 == sequence.len()));
        let tokens: Vec<i64> = drawn.tokens.select(0, row as i64).try_into().unwrap();
        assert_eq!(tokens[..sequence.len()], sequence[..]);
    }
}

#[test]
fn refusals() {
    assert!(MinimumRisk::<u8>::of(&[]).is_err());
    let samples = [1_u8, 2];
    let risk = MinimumRisk::of(&samples).unwrap();
    assert!(risk.best(|_, _| f64::NAN).is_err());
    assert!(risk.coarse_to_fine(|_, _| 0.0, 0, |_, _| 0.0).is_err());
}
