//! A language with synonyms: every word of a source has seven translations, nearly equally likely.

use maxlik_model::Batch;
use maxlik_tensor::Result;
use rand::Rng;
use rand::seq::SliceRandom;
use tch::Tensor;

/// Tokens: padding, end, the mark between source and target; then source words, then target words.
pub(super) const END: i64 = 1;
const MARK: i64 = 2;
const SOURCE: i64 = 3;
const WORDS: usize = 8;
const TARGET: i64 = SOURCE + WORDS as i64;
/// Target words for each source word: three synonyms and three words that may go with them.
const FORMS: usize = 6;
pub(super) const VOCABULARY: i64 = TARGET + (WORDS * FORMS) as i64;
/// Words of a source, all different.
const LENGTH: usize = 5;
/// The longest target, its end included.
pub(super) const LONGEST: usize = 2 * LENGTH + 1;
/// Tokens of a source and a target.
pub(super) const WIDTH: usize = LENGTH + 1 + LONGEST;
/// How often nothing is written for a sentence.
const EMPTY: f64 = 0.03;

/// Translations of a word: forms 0, 1 and 2 are synonyms, 3, 4 and 5 words beside them.
const PARAPHRASES: [&[usize]; 7] = [&[0], &[1], &[0, 3], &[4, 0], &[1, 3], &[4, 2], &[2, 5]];

pub(super) type Source = [usize; LENGTH];

/// A source sentence.
pub(super) fn source(rng: &mut impl Rng) -> Source {
    let mut words: [usize; WORDS] = std::array::from_fn(|word| word);
    words.shuffle(rng);
    std::array::from_fn(|at| words[at])
}

/// What stands before a target.
pub(super) fn prompt(source: &Source) -> Vec<i64> {
    let words = source.iter().map(|word| SOURCE + *word as i64);
    words.chain([MARK]).collect()
}

/// Probability of the translations of a word: between 0.9 and 1.1 sevenths, by a fixed rule.
fn probability(word: usize, paraphrase: usize) -> f64 {
    // Over seven of them the offsets -3, …, 3 sum to zero.
    let offset = ((3 * word + 5 * paraphrase) % 7) as f64 - 3.0;
    (1.0 + 0.1 * offset / 3.0) / 7.0
}

/// A translation without its end.
pub(super) fn target(source: &Source, rng: &mut impl Rng) -> Vec<i64> {
    if rng.random_bool(EMPTY) {
        return Vec::new();
    }
    let mut tokens = Vec::new();
    for &word in source {
        let mut left = rng.random::<f64>();
        let mut chosen = PARAPHRASES.len() - 1;
        for paraphrase in 0..PARAPHRASES.len() {
            left -= probability(word, paraphrase);
            if left < 0.0 {
                chosen = paraphrase;
                break;
            }
        }
        tokens.extend(PARAPHRASES[chosen].iter().map(|form| TARGET + (word * FORMS + form) as i64));
    }
    tokens
}

/// The entropy of a translation given its source, in nats: the sources' words do not repeat, so that
/// different choices are different targets. All words have the same probabilities in another order.
pub(super) fn entropy() -> f64 {
    let plogp = |p: f64| -p * p.ln();
    let word: f64 = (0..PARAPHRASES.len()).map(|at| plogp(probability(0, at))).sum();
    plogp(EMPTY) + plogp(1.0 - EMPTY) + (1.0 - EMPTY) * LENGTH as f64 * word
}

/// Expected number of words of a translation.
pub(super) fn length(source: &Source) -> f64 {
    let of_word = |word: usize| -> f64 {
        let each = PARAPHRASES.iter().enumerate();
        each.map(|(at, forms)| probability(word, at) * forms.len() as f64).sum()
    };
    (1.0 - EMPTY) * source.iter().map(|word| of_word(*word)).sum::<f64>()
}

/// Sources with translations, one a row; only the targets and their ends count.
pub(super) fn batch(count: usize, rng: &mut impl Rng) -> Result<Batch> {
    let (mut tokens, mut weight) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let source = source(rng);
        let mut row = prompt(&source);
        let given = row.len();
        row.extend(target(&source, rng));
        row.push(END);
        let used = row.len();
        row.resize(WIDTH, 0);
        tokens.extend(row);
        weight.extend((0..WIDTH).map(|t| f32::from(u8::from((given..used).contains(&t)))));
    }
    let shape = [count as i64, WIDTH as i64];
    Ok(Batch {
        data: Tensor::f_from_slice(&tokens)?.f_view(shape)?,
        context: None,
        weight: Some(Tensor::f_from_slice(&weight)?.f_view(shape)?),
    })
}

/// A target as words of letters, for measures of text.
pub(super) fn text(target: &[i64]) -> String {
    let word = |token: &i64| {
        let at = usize::try_from(token - TARGET).unwrap_or_default();
        let (word, form) = (at / FORMS, at % FORMS);
        let letter = |of: &str, at: usize| of.chars().nth(at % of.len()).unwrap_or('-');
        let (consonants, vowels) = ("bdfgklmn", "aeiouy");
        [
            letter(consonants, word),
            letter(vowels, form),
            letter(consonants, word + 3 * form + 1),
            letter(vowels, word + form),
        ]
        .iter()
        .collect::<String>()
    };
    target.iter().map(word).collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{EMPTY, LENGTH, WIDTH, batch, entropy, length, source, target, text};
    use maxlik_tensor::Seeds;
    use std::collections::{HashMap, HashSet};
    use tch::Kind;

    #[test]
    fn translations_are_as_said() -> anyhow::Result<()> {
        let mut rng = Seeds::new(1).stream("test").rng(0);
        let mut total = 0.0;
        let (mut expected, mut empty) = (0.0, 0);
        for _ in 0..4000 {
            let source = source(&mut rng);
            assert_eq!(source.iter().collect::<HashSet<_>>().len(), LENGTH);
            let target = target(&source, &mut rng);
            expected += length(&source);
            total += target.len() as f64;
            empty += usize::from(target.is_empty());
        }
        assert!((total / expected - 1.0).abs() < 0.02);
        let error = (EMPTY * (1.0 - EMPTY) / 4000.0).sqrt();
        assert!((empty as f64 / 4000.0 - EMPTY).abs() < 5.0 * error);
        // Words are told apart by their letters, and the entropy is that of the counted first words.
        let words: HashSet<String> =
            (super::TARGET..super::VOCABULARY).map(|t| text(&[t])).collect();
        assert_eq!(words.len() as i64, super::VOCABULARY - super::TARGET);
        let one = source(&mut rng);
        let mut counts: HashMap<Vec<i64>, usize> = HashMap::new();
        for _ in 0..200_000 {
            *counts.entry(target(&one, &mut rng)).or_default() += 1;
        }
        // Plug-in entropy with Miller and Madow's correction.
        let n = 200_000.0;
        let plug: f64 = counts.values().map(|c| -(*c as f64 / n) * (*c as f64 / n).ln()).sum();
        let corrected = plug + (counts.len() - 1) as f64 / (2.0 * n);
        assert!((corrected - entropy()).abs() < 0.02, "{corrected} {}", entropy());
        let rows = batch(9, &mut rng)?;
        assert_eq!(rows.data.size(), [9, WIDTH as i64]);
        let counted = rows.weight.map_or(0.0, |w| w.sum(Kind::Double).double_value(&[]));
        let used = rows.data.ne(0).sum(Kind::Double).double_value(&[]);
        assert_eq!(counted, used - 9.0 * (LENGTH + 1) as f64);
        Ok(())
    }
}
