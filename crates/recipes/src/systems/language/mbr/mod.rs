//! Minimum Bayes risk instead of the mode: a language with synonyms, where the most probable translation
//! of each sentence is none.
//!
//! A causal transformer reads five source words and a mark, and writes the translation. Each word has
//! seven translations, so a full one has a probability of 6e-5; three in a hundred sentences are not
//! translated at all, and that is the mode.

mod study;
mod world;

use super::super::fit::fit;
use super::super::{Check, System};
use anyhow::Result;
use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::{
    Params, TransformerConfig, TransformerLanguageModel, TransformerLanguageModelConfig,
};
use maxlik_objectives::sequence::CrossEntropy;
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{LineChart, Series, Stroke};
use maxlik_train::{OptimConfig, Schedule};
use std::path::Path;
use study::{Test, beam, examples, mass, minimum_risk, samples};
use tch::{Device, Kind, Tensor};
use world::{VOCABULARY, WIDTH, batch, entropy};

/// Minimum Bayes risk.
pub(in super::super) const SYSTEM: System = System {
    name: "mbr",
    about: "sampling-based minimum Bayes risk decoding (is MAP decoding all you need?, \
            arXiv:2005.10283)",
    claim: "the mode of a good translation model is worthless and carries little mass, its samples \
            have the data's statistics, and the sample of greatest expected utility is a good \
            translation, the better the more samples",
    run,
};

const PAIRS: usize = 8000;
const BEAMS: [i64; 5] = [1, 2, 4, 8, 64];
const COUNTS: [usize; 4] = [5, 10, 30, 120];

fn train(seed: u64) -> Result<TransformerLanguageModel> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let config = TransformerLanguageModelConfig {
        transformer: TransformerConfig { width: 64, heads: 4, ..TransformerConfig::default() },
        length: WIDTH as i64,
        tied: true,
    };
    let model = TransformerLanguageModel::new(&params.root(), VOCABULARY, &config)?;
    let pairs = batch(PAIRS, &mut Seeds::new(seed).stream("pairs").rng(0))?;
    let schedule = Schedule::Cosine { warmup: 50, last: 0.0 };
    let optim = OptimConfig { steps: 700, lr: 4e-3, clip: 1.0, schedule, ..OptimConfig::default() };
    fit(&params, &optim, seed, |_| {
        let rows = Tensor::f_randint(PAIRS as i64, [128], (Kind::Int64, Device::Cpu))?;
        let pick = |t: &Tensor| t.f_index_select(0, &rows);
        let weight = pairs.weight.as_ref().map(pick).transpose()?;
        let batch = Batch { weight, ..Batch::new(pick(&pairs.data)?) };
        Ok(CrossEntropy.loss(&model as &dyn LanguageModel, &batch)?.value)
    })?;
    Ok(model)
}

/// Negative log-likelihood of a sentence less the language's entropy, in nats.
fn excess(seed: u64, model: &(dyn LanguageModel + 'static)) -> Result<f64> {
    let _no_grad = tch::no_grad_guard();
    let count = 2000;
    let fresh = batch(count, &mut Seeds::new(seed).stream("fresh").rng(0))?;
    let tokens = match &fresh.weight {
        Some(weight) => host::scalar(&weight.f_sum(Kind::Double)?)?,
        None => 0.0,
    };
    let each = host::scalar(&CrossEntropy.loss(model, &fresh)?.value)?;
    Ok(each * tokens / count as f64 - entropy())
}

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let model = train(seed)?;
    let model = &model as &dyn LanguageModel;
    let excess = excess(seed, model)?;
    let test = Test::new(seed);
    let drawn = samples(model, &test, seed)?;
    let mass = mass(model, &test, seed)?;
    let mut by_width = Vec::new();
    for width in BEAMS {
        let (decisions, probability) = beam(model, &test, width)?;
        by_width.push((decisions, probability));
    }
    let beams = by_width.iter().map(|(decisions, _)| test.rate(decisions));
    let beams = beams.collect::<Result<Vec<_>>>()?;
    let risks = COUNTS.iter().map(|count| minimum_risk(&test, &drawn, *count));
    let risks = risks.collect::<Result<Vec<_>>>()?;
    for (width, rating) in BEAMS.iter().zip(&beams) {
        tracing::info!("  beam {width}: {rating:?}");
    }
    for (count, rating) in COUNTS.iter().zip(&risks) {
        tracing::info!("  minimum risk, {count} samples: {rating:?}");
    }
    let (wide, thirty) = (beams[BEAMS.len() - 1], risks[2]);
    let (decisions, mode) = &by_width[BEAMS.len() - 1];
    std::fs::write(out.join("translations.txt"), examples(&test, &drawn, decisions)?)?;
    let points = |values: Vec<(f64, f64)>, name: &str| Series {
        name: name.to_owned(),
        points: values,
        stroke: Stroke::Dotted,
    };
    let by_width = BEAMS.iter().zip(&beams).map(|(w, r)| ((*w as f64).log2(), r.utility));
    let by_count = COUNTS.iter().zip(&risks).map(|(n, r)| ((*n as f64).log2(), r.utility));
    let chart = LineChart::new(
        "Expected F1 of words with a translation of the language",
        "log2 of the beam's width or the number of samples",
        "F1",
    )
    .series(points(by_width.collect(), "beam search"))
    .series(points(by_count.collect(), "minimum Bayes risk"));
    std::fs::write(out.join("utility.svg"), chart.svg())?;
    let steps = risks.windows(2).map(|pair| pair[1].utility - pair[0].utility);
    Ok(vec![
        Check::at_most(
            "probability of the mode (beam 64), mean over sources",
            "at most 0.05",
            *mode,
            0.05,
        )
        .beside("all different ones of 1000 samples together", mass),
        Check::at_least(
            "share of sources for which beam 64 writes less than half",
            "more than 0.5",
            wide.short,
            0.501,
        )
        .beside("its length / the data's", wide.length),
        Check::at_most(
            "mean length of samples, |model / data - 1|",
            "at most 0.05",
            (drawn.length - 1.0).abs(),
            0.05,
        )
        .beside("share of empty samples (data: 0.03)", drawn.empty),
        Check::at_most(
            "divergence of words from the data's, one sample a source / beam 64",
            "at most 0.1",
            drawn.divergence / wide.divergence,
            0.1,
        )
        .beside("greedy / beam 64", beams[0].divergence / wide.divergence),
        Check::at_least(
            "expected F1, minimum risk of 30 samples - beam 64",
            "more than 0",
            thirty.utility - wide.utility,
            0.001,
        )
        .beside("minimum risk", thirty.utility),
        Check::at_least(
            "chrF of the corpus, minimum risk of 30 samples - beam 64",
            "more than 0",
            thirty.chrf - wide.chrf,
            0.001,
        )
        .beside("minimum risk", thirty.chrf),
        Check::at_least(
            "least gain in expected F1 from 5 to 10 to 30 to 120 samples",
            "at least -0.002",
            steps.fold(f64::INFINITY, f64::min),
            -0.002,
        )
        .beside("from 5 to 120", risks[3].utility - risks[0].utility),
        Check::at_most(
            "NLL of a sentence - entropy (nats): the model is a good one",
            "at most 0.5",
            excess,
            0.5,
        )
        .beside("entropy", entropy()),
    ])
}
