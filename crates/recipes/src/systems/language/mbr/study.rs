//! What is measured of a translator: its samples, its beams, and its decisions of least risk.

use super::world::{END, LONGEST, Source, length, prompt, source, target, text};
use anyhow::Result;
use maxlik_data::text::metrics::{Chrf, Frontier, Histograms, set_overlap};
use maxlik_model::LanguageModel;
use maxlik_nn::decode::{Beam, Generation, MinimumRisk};
use maxlik_tensor::Seeds;
use std::collections::HashMap;
use tch::Tensor;

/// Sources of the test, references and samples of each.
const SOURCES: usize = 60;
const REFERENCES: usize = 200;
const SAMPLES: usize = 120;
/// Sets of one sample a source.
const SETS: usize = 20;
/// Samples of the first sources, whose different ones' mass is added up.
const MANY: usize = 1000;
const FEW: usize = 6;

type Target = Vec<i64>;

/// Sources, with translations by the language itself.
#[derive(Debug)]
pub(super) struct Test {
    sources: Vec<Source>,
    references: Vec<Vec<Target>>,
}

impl Test {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Seeds::new(seed).stream("test").rng(0);
        let sources: Vec<Source> = (0..SOURCES).map(|_| source(&mut rng)).collect();
        let of =
            |source: &Source, rng: &mut _| (0..REFERENCES).map(|_| target(source, rng)).collect();
        let references = sources.iter().map(|source| of(source, &mut rng)).collect();
        Self { sources, references }
    }

    /// Expected number of words, over all sources.
    fn length(&self) -> f64 {
        self.sources.iter().map(length).sum::<f64>() / SOURCES as f64
    }

    /// How good one decision for each source is.
    pub(super) fn rate(&self, decisions: &[Target]) -> Result<Rating> {
        let mut utility = 0.0;
        for (decision, references) in decisions.iter().zip(&self.references) {
            let each = references.iter().map(|reference| f1(decision, reference));
            utility += each.sum::<f64>() / (REFERENCES * SOURCES) as f64;
        }
        let hypotheses: Vec<String> = decisions.iter().map(|tokens| text(tokens)).collect();
        let four = |all: &Vec<Target>| all.iter().take(4).map(|tokens| text(tokens)).collect();
        let references: Vec<Vec<String>> = self.references.iter().map(four).collect();
        let chrf = Chrf::default().corpus(&hypotheses, &references)?;
        let lengths = decisions.iter().map(Vec::len).sum::<usize>() as f64 / SOURCES as f64;
        let short = decisions.iter().zip(&self.sources);
        let short = short.filter(|(tokens, of)| (tokens.len() as f64) < length(of) / 2.0).count();
        Ok(Rating {
            utility,
            chrf,
            length: lengths / self.length(),
            short: short as f64 / SOURCES as f64,
            divergence: self.divergence(decisions)?,
        })
    }

    /// The frontier integral between the words of one text for each source and those of the
    /// references, ends included.
    fn divergence(&self, texts: &[Target]) -> Result<f64> {
        let words = |text: &Target| [text.as_slice(), &[END]].concat();
        let of_data = self.references.iter().flatten().flat_map(words);
        let histograms = Histograms::of_items(of_data, texts.iter().flat_map(words))?;
        Ok(Frontier::integral(&histograms))
    }
}

/// F1 of the sets of words.
fn f1(hypothesis: &Target, reference: &Target) -> f64 {
    set_overlap(hypothesis, reference, 1).f1
}

/// How good decisions are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rating {
    /// Mean F1 of the sets of words with a translation of the language.
    pub(super) utility: f64,
    /// chrF of the corpus, with four references a source.
    pub(super) chrf: f64,
    /// Number of words over the language's.
    pub(super) length: f64,
    /// Share of decisions shorter than half of what is expected.
    pub(super) short: f64,
    /// Frontier integral of words, 0 to 1.
    pub(super) divergence: f64,
}

/// Ancestral samples, as many for each source.
#[derive(Debug)]
pub(super) struct Samples {
    each: Vec<Vec<Target>>,
    /// Number of words over the language's.
    pub(super) length: f64,
    /// Frontier integral of words, 0 to 1, of one sample for each source.
    pub(super) divergence: f64,
    /// Share of samples without words.
    pub(super) empty: f64,
}

/// Ancestral samples of some sources, and their log-probabilities.
fn draw(
    model: &dyn LanguageModel,
    sources: &[Source],
    count: usize,
    seed: u64,
) -> Result<Vec<Vec<(Target, f64)>>> {
    let tokens: Vec<i64> = sources.iter().flat_map(|s| prompt(s).repeat(count)).collect();
    let prompts = Tensor::f_from_slice(&tokens)?.f_view([(sources.len() * count) as i64, -1])?;
    Seeds::new(seed).stream("samples").seed_torch(0);
    let generation = Generation { tokens: LONGEST as i64, end: Some(END), ..Generation::default() };
    let drawn = generation.run(&mut *model.session(), &prompts)?;
    let log_prob =
        drawn.log_prob.f_sum_dim_intlist([1_i64].as_slice(), false, tch::Kind::Double)?;
    let log_prob = maxlik_tensor::host::to_vec(&log_prob)?;
    let rows = drawn.sequences()?.into_iter().map(ended).zip(log_prob);
    let rows: Vec<(Target, f64)> = rows.collect();
    Ok(rows.chunks(count).map(<[_]>::to_vec).collect())
}

/// Without the end.
fn ended(mut tokens: Target) -> Target {
    if tokens.last() == Some(&END) {
        tokens.pop();
    }
    tokens
}

pub(super) fn samples(model: &dyn LanguageModel, test: &Test, seed: u64) -> Result<Samples> {
    let each: Vec<Vec<Target>> = draw(model, &test.sources, SAMPLES, seed)?
        .into_iter()
        .map(|rows| rows.into_iter().map(|(tokens, _)| tokens).collect())
        .collect();
    let all = || each.iter().flatten();
    let count = (SOURCES * SAMPLES) as f64;
    let length = all().map(Vec::len).sum::<usize>() as f64 / count / test.length();
    let mut divergence = 0.0;
    for set in 0..SETS {
        let one: Vec<Target> = each.iter().map(|of_source| of_source[set].clone()).collect();
        divergence += test.divergence(&one)? / SETS as f64;
    }
    let empty = all().filter(|tokens| tokens.is_empty()).count() as f64 / count;
    Ok(Samples { each, length, divergence, empty })
}

/// The mass that the model gives to all different ones among a thousand samples, the mean over a few
/// sources.
pub(super) fn mass(model: &dyn LanguageModel, test: &Test, seed: u64) -> Result<f64> {
    let drawn = draw(model, &test.sources[..FEW], MANY, seed + 1)?;
    let of_source = |rows: Vec<(Target, f64)>| {
        let different: HashMap<Target, f64> = rows.into_iter().collect();
        different.values().map(|log_prob| log_prob.exp()).sum::<f64>()
    };
    Ok(drawn.into_iter().map(of_source).sum::<f64>() / FEW as f64)
}

/// What a beam of this width decides, and the mean probability of that.
pub(super) fn beam(
    model: &dyn LanguageModel,
    test: &Test,
    width: i64,
) -> Result<(Vec<Target>, f64)> {
    let beam = Beam { width, tokens: LONGEST as i64, length_penalty: 0.0, end: Some(END) };
    let mut probability = 0.0;
    let mut decisions = Vec::new();
    for source in &test.sources {
        let prompt = Tensor::f_from_slice(&prompt(source))?;
        let best = beam.run(&mut *model.session(), &prompt)?.into_iter().next();
        let (tokens, log_prob) =
            best.map_or((Vec::new(), f64::NEG_INFINITY), |best| (best.tokens, best.log_prob));
        probability += log_prob.exp() / SOURCES as f64;
        decisions.push(ended(tokens));
    }
    Ok((decisions, probability))
}

/// Minimum Bayes risk by `count` samples, the mean over as many disjoint sets of samples as there are.
pub(super) fn minimum_risk(test: &Test, samples: &Samples, count: usize) -> Result<Rating> {
    let sets = SAMPLES / count;
    let mut mean = Rating { utility: 0.0, chrf: 0.0, length: 0.0, short: 0.0, divergence: 0.0 };
    for set in 0..sets {
        let decide = |all: &Vec<Target>| -> Result<Target> {
            let part = &all[set * count..(set + 1) * count];
            Ok(MinimumRisk::of(part)?.best(f1)?.candidate.clone())
        };
        let decisions = samples.each.iter().map(decide).collect::<Result<Vec<Target>>>()?;
        let rating = test.rate(&decisions)?;
        let share = |x: f64| x / sets as f64;
        mean.utility += share(rating.utility);
        mean.chrf += share(rating.chrf);
        mean.length += share(rating.length);
        mean.short += share(rating.short);
        mean.divergence += share(rating.divergence);
    }
    Ok(mean)
}

/// Some sources' decisions beside each other, as text.
pub(super) fn examples(test: &Test, samples: &Samples, beamed: &[Target]) -> Result<String> {
    let mut lines = String::new();
    for (at, beamed) in beamed.iter().enumerate().take(FEW) {
        let best = MinimumRisk::of(&samples.each[at])?.best(f1)?;
        let rows = [
            ("reference", &test.references[at][0]),
            ("sample", &samples.each[at][0]),
            ("wide beam", beamed),
            ("minimum risk", best.candidate),
        ];
        for (name, tokens) in rows {
            lines += &format!("{name:>12}: {}\n", text(tokens));
        }
        lines.push('\n');
    }
    Ok(lines)
}
