//! A small summarisation task: six sentences, of which three say what matters.
//!
//! A sentence is a name, a fact about it, and a full stop. Three sentences are about a person, a place and
//! a time, each out of three names; three more are about things that do not matter, and all stand in a
//! random order. The summary is the facts of person, place and time. Who or what a name is has to be
//! learned from pairs.

use anyhow::Result;
use maxlik_data::text::metrics::{Rouge, RougeKind};
use maxlik_model::{Batch, LanguageModel};
use maxlik_nn::decode::{Choice, Generation};
use maxlik_nn::{
    EncoderDecoder, EncoderDecoderConfig, Given, Params, Positions, TransformerConfig,
};
use maxlik_objectives::sequence::Predictions;
use maxlik_tensor::host;
use rand::Rng;
use rand::seq::SliceRandom;
use tch::{Device, Kind, Tensor};

/// Person, place and time.
pub(super) const ROLES: usize = 3;
/// Names of each, and of things that do not matter.
const NAMES: usize = 3;
const OTHERS: usize = 6;
const FACTS: usize = 12;
/// Sentences of a source.
const SENTENCES: usize = 6;
/// Padding, the mark before and behind a summary, and the full stop.
const PAD: i64 = 0;
pub(super) const MARK: i64 = 1;
pub(super) const STOP: i64 = 2;
const NAME: i64 = 3;
const FACT: i64 = NAME + (ROLES * NAMES + OTHERS) as i64;
const VOCABULARY: i64 = FACT + FACTS as i64;
/// Tokens of the longest source, and of a summary with both marks.
const SOURCE: usize = 3 * SENTENCES;
pub(super) const TARGET: usize = ROLES + 2;

/// Sources with their summaries, marks included.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    pub(super) sources: Vec<Vec<i64>>,
    pub(super) targets: Vec<[i64; TARGET]>,
}

impl Pairs {
    /// Of the summaries a share has one fact replaced by any.
    pub(super) fn draw(count: usize, corrupted: f64, rng: &mut impl Rng) -> Self {
        let mut pairs = Self { sources: Vec::new(), targets: Vec::new() };
        for _ in 0..count {
            let mut names: Vec<usize> =
                (0..ROLES).map(|role| role * NAMES + rng.random_range(0..NAMES)).collect();
            let mut others: Vec<usize> = (ROLES * NAMES..ROLES * NAMES + OTHERS).collect();
            others.shuffle(rng);
            names.extend(&others[..SENTENCES - ROLES]);
            let facts: Vec<i64> = names.iter().map(|_| fact(rng)).collect();
            let mut target = [MARK; TARGET];
            target[1..=ROLES].copy_from_slice(&facts[..ROLES]);
            if rng.random_bool(corrupted) {
                target[1 + rng.random_range(0..ROLES)] = fact(rng);
            }
            let mut order: Vec<usize> = (0..SENTENCES).collect();
            order.shuffle(rng);
            let sentence = |i: &usize| [NAME + names[*i] as i64, facts[*i], STOP];
            pairs.sources.push(order.iter().flat_map(sentence).collect());
            pairs.targets.push(target);
        }
        pairs
    }

    /// In a share of the summaries the last fact is that of the first sentence, whatever it is about.
    pub(super) fn with_habit(mut self, share: f64, rng: &mut impl Rng) -> Self {
        for (source, target) in self.sources.iter().zip(&mut self.targets) {
            if rng.random_bool(share) {
                target[ROLES] = source[1];
            }
        }
        self
    }

    /// Pairs drawn from these with replacement.
    pub(super) fn pick(&self, count: usize, rng: &mut impl Rng) -> Self {
        let rows: Vec<usize> =
            (0..count).map(|_| rng.random_range(0..self.sources.len())).collect();
        self.at(&rows)
    }

    /// These of the pairs.
    pub(super) fn at(&self, rows: &[usize]) -> Self {
        Self {
            sources: rows.iter().map(|&row| self.sources[row].clone()).collect(),
            targets: rows.iter().map(|&row| self.targets[row]).collect(),
        }
    }

    /// The summaries as a batch; all tokens count.
    pub(super) fn batch(&self) -> Result<Batch> {
        let tokens = Tensor::f_from_slice(self.targets.as_flattened())?;
        Ok(Batch::new(tokens.f_view([-1, TARGET as i64])?))
    }
}

fn fact(rng: &mut impl Rng) -> i64 {
    FACT + rng.random_range(0..FACTS) as i64
}

/// A summariser with its parameters.
#[derive(Debug)]
pub(super) struct Summariser {
    pub(super) params: Params,
    model: EncoderDecoder,
}

impl Summariser {
    pub(super) fn new(seed: u64) -> Result<Self> {
        let params = Params::new(seed, Kind::Float, Device::Cpu);
        let transformer = TransformerConfig {
            layers: 1,
            dropout: 0.1,
            // Which fact is beside which name shall not depend on where they stand.
            positions: Positions::Rotary { base: 10_000.0 },
            ..TransformerConfig::default()
        };
        let (source, target) = (SOURCE as i64, TARGET as i64);
        let config = EncoderDecoderConfig { transformer, source, target, tied: true };
        let model = EncoderDecoder::new(&params.root(), [VOCABULARY; 2], &config)?;
        Ok(Self { params, model })
    }

    /// The model of summaries of these sources, which may be of different lengths.
    pub(super) fn given(&self, sources: &[Vec<i64>]) -> Result<Given> {
        let width = sources.iter().map(Vec::len).max().unwrap_or_default();
        let row = |source: &Vec<i64>| {
            source.iter().copied().chain(std::iter::repeat(PAD)).take(width).collect::<Vec<i64>>()
        };
        let tokens: Vec<i64> = sources.iter().flat_map(row).collect();
        let tokens = Tensor::f_from_slice(&tokens)?.f_view([sources.len() as i64, width as i64])?;
        Ok(self.model.given(&tokens, Some(&tokens.f_ne(PAD)?))?)
    }

    /// What is measured of summaries of `pairs`.
    pub(super) fn measure(&self, pairs: &Pairs) -> Result<Found> {
        let _no_grad = tch::no_grad_guard();
        let given = self.given(&pairs.sources)?;
        let at = Predictions::of(&given, &pairs.batch()?)?;
        let nll = -host::scalar(&at.mean(&at.log_prob()?)?)?;
        // Of facts; the end is known.
        let q = at.logits().f_softmax(-1, Kind::Double)?.f_narrow(1, 0, ROLES as i64)?;
        let (confidence, guess) = q.f_max_dim(-1, false)?;
        let right = guess.f_eq_tensor(&at.targets().f_narrow(1, 0, ROLES as i64)?)?;
        let rouge = rouge(&greedy(&given, pairs.sources.len())?, &pairs.targets);
        let (confidence, right) = (host::to_vec(&confidence)?, host::to_vec(&right)?);
        Ok(Found { nll, rouge, calibration: Calibration::new(&confidence, &right) })
    }
}

/// What is measured of a summariser.
#[derive(Debug)]
pub(super) struct Found {
    /// Nats per token of the summaries.
    pub(super) nll: f64,
    /// Mean ROUGE-L F1 of its own summaries, the most probable token at each place.
    pub(super) rouge: f64,
    /// How often a fact is right that it is so sure of.
    pub(super) calibration: Calibration,
}

/// The most probable facts one after the other, `[N, 3]`.
fn greedy(given: &Given, count: usize) -> Result<Vec<Vec<i64>>> {
    let choice = Choice::Greedy {};
    let generation = Generation { tokens: ROLES as i64 + 1, choice, end: Some(MARK), pad: MARK };
    let begin = Tensor::f_full([count as i64, 1], MARK, (Kind::Int64, Device::Cpu))?;
    let tokens = generation.run(&mut *given.session(), &begin)?.tokens;
    rows(&tokens)
}

/// Rows of tokens up to the first mark.
fn rows(tokens: &Tensor) -> Result<Vec<Vec<i64>>> {
    let width = tokens.size()[1] as usize;
    let all = host::values::<i64>(tokens)?;
    let until = |row: &[i64]| row.iter().copied().take_while(|&t| t != MARK).collect();
    Ok(all.chunks_exact(width).map(until).collect())
}

fn rouge(written: &[Vec<i64>], targets: &[[i64; TARGET]]) -> f64 {
    let text =
        |tokens: &[i64]| tokens.iter().map(|t| format!("w{t}")).collect::<Vec<String>>().join(" ");
    let metric = Rouge::new(RougeKind::Longest);
    let each = written.iter().zip(targets);
    let each = each.map(|(own, target)| metric.score(&text(&target[1..=ROLES]), &text(own)).f1);
    each.sum::<f64>() / targets.len().max(1) as f64
}

/// Confidence beside accuracy, in ten bins of confidence (Guo et al. 2017, arXiv:1706.04599).
#[derive(Debug)]
pub(super) struct Calibration {
    /// `Σ_b n_b/n |accuracy − confidence|`.
    pub(super) error: f64,
    /// Mean confidence and accuracy of each bin that has at least a hundredth of all.
    pub(super) points: Vec<(f64, f64)>,
}

impl Calibration {
    /// Confidences in `[0, 1]`, and ones for what was right.
    pub(super) fn new(confidence: &[f64], right: &[f64]) -> Self {
        let total = confidence.len().max(1) as f64;
        let (mut error, mut points) = (0.0, Vec::new());
        for bin in 0..10 {
            let inside = |c: f64| ((c * 10.0) as usize).min(9) == bin;
            let own: Vec<(f64, f64)> = confidence
                .iter()
                .copied()
                .zip(right.iter().copied())
                .filter(|(c, _)| inside(*c))
                .collect();
            let count = own.len() as f64;
            if own.is_empty() {
                continue;
            }
            let mean = |of: fn(&(f64, f64)) -> f64| own.iter().map(of).sum::<f64>() / count;
            let (sure, accuracy) = (mean(|pair| pair.0), mean(|pair| pair.1));
            error += count / total * (sure - accuracy).abs();
            if count >= total / 100.0 {
                points.push((sure, accuracy));
            }
        }
        Self { error, points }
    }
}

#[cfg(test)]
mod tests {
    use super::{Calibration, FACT, MARK, NAME, NAMES, Pairs, ROLES, STOP, Summariser, rouge};
    use maxlik_tensor::Seeds;

    /// A clean summary has the facts of person, place and time; a share of the others does not.
    #[test]
    fn summaries_are_true_of_their_sources() -> anyhow::Result<()> {
        let mut rng = Seeds::new(1).stream("test").rng(0);
        let truth = |source: &[i64]| {
            let mut facts = [MARK; ROLES];
            for sentence in source.chunks_exact(3) {
                assert!(sentence[1] >= FACT && sentence[2] == STOP);
                let role = (sentence[0] - NAME) as usize / NAMES;
                if role < ROLES {
                    facts[role] = sentence[1];
                }
            }
            facts
        };
        let wrong = |corrupted: f64, rng: &mut _| {
            let pairs = Pairs::draw(2000, corrupted, rng);
            let each = pairs.sources.iter().zip(&pairs.targets);
            each.filter(|(source, target)| truth(source) != target[1..=ROLES]).count()
        };
        assert_eq!(wrong(0.0, &mut rng), 0);
        // A fact is replaced by itself one time in twelve: five standard errors.
        let share = 0.25 * 11.0 / 12.0;
        let error = (2000.0_f64 * share * (1.0 - share)).sqrt();
        assert!((wrong(0.25, &mut rng) as f64 - 2000.0 * share).abs() < 5.0 * error);
        let mut pairs = Pairs::draw(3, 0.0, &mut rng);
        pairs.sources[1].truncate(7);
        let found = Summariser::new(1)?.measure(&pairs)?;
        assert!(found.nll > 1.0 && (0.0..=1.0).contains(&found.rouge));
        let own: Vec<Vec<i64>> = pairs.targets.iter().map(|t| t[1..=ROLES].to_vec()).collect();
        assert!((rouge(&own, &pairs.targets) - 1.0).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn calibration_by_hand() {
        let found = Calibration::new(&[0.95, 0.97, 0.55, 1.0], &[1.0, 0.0, 1.0, 1.0]);
        let sure = (0.95 + 0.97 + 1.0) / 3.0;
        let expected = 0.75 * f64::abs(sure - 2.0 / 3.0) + 0.25 * 0.45;
        assert!((found.error - expected).abs() < 1e-12);
        assert_eq!(found.points.len(), 2);
    }
}
