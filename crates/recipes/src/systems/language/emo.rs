//! EMO in a language of synonyms: clusters of words that follow each other, whose vectors say which
//! words belong together.

use super::super::fit::fit;
use super::super::{Check, System};
use super::world::{World, draw, sample, transitions};
use anyhow::Result;
use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::{
    Params, TransformerConfig, TransformerLanguageModel, TransformerLanguageModelConfig,
};
use maxlik_objectives::sequence::{Cost, CrossEntropy, Emo, EmoLead, MixCe};
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{LineChart, Series, Stroke};
use maxlik_train::{OptimConfig, Schedule};
use rand::Rng;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// EMO.
pub(in super::super) const SYSTEM: System = System {
    name: "emo",
    about: "a bound on the earth mover distance beside likelihood (EMO, arXiv:2310.04691)",
    claim: "samples are nearer to the data than those of likelihood and of MixCE, since a wrong word \
            near the right one costs less; paper: higher MAUVE on six corpora",
    run,
};

const CLUSTERS: usize = 12;
const WORDS: usize = 4;
/// Words and the mark of the beginning.
const VOCABULARY: usize = CLUSTERS * WORDS + 1;
/// Words of a sentence.
const LENGTH: i64 = 10;
/// Sentences to learn from: few, so that most pairs of words have not been seen.
const SENTENCES: i64 = 300;

/// The language, and the vectors of its words.
struct Synonyms {
    world: World,
    vectors: Tensor,
    shuffled: Tensor,
}

/// Each cluster is followed by three clusters, and a cluster by any of its words alike.
fn synonyms(seed: u64) -> Result<Synonyms> {
    let mut rng = Seeds::new(seed).stream("language").rng(0);
    let mut p = vec![vec![0.0; VOCABULARY]; VOCABULARY];
    let cluster = |word: usize| (word - 1) / WORDS;
    let followers: Vec<Vec<usize>> = (0..CLUSTERS)
        .map(|_| {
            let mut all: Vec<usize> = (0..CLUSTERS).collect();
            (0..3).map(|_| all.swap_remove(rng.random_range(0..all.len()))).collect()
        })
        .collect();
    for (row, p) in p.iter_mut().enumerate() {
        for (word, p) in p.iter_mut().enumerate().skip(1) {
            *p = if row == 0 {
                1.0 / (VOCABULARY - 1) as f64
            } else if followers[cluster(row)].contains(&cluster(word)) {
                1.0 / (3 * WORDS) as f64
            } else {
                0.0
            };
        }
    }
    Seeds::new(seed).stream("vectors").seed_torch(0);
    let options = (Kind::Double, Device::Cpu);
    let centre = Tensor::f_randn([CLUSTERS as i64, 16], options)?;
    let words = centre.f_repeat_interleave_self_int(WORDS as i64, 0, None)?;
    let words = words + Tensor::f_randn([(VOCABULARY - 1) as i64, 16], options)? * 0.3;
    let begin = Tensor::f_randn([1, 16], options)?;
    let order = Tensor::f_randperm(words.size()[0], (Kind::Int64, Device::Cpu))?;
    Ok(Synonyms {
        world: World::new(&p)?,
        shuffled: Tensor::f_cat(&[&begin, &words.f_index_select(0, &order)?], 0)?,
        vectors: Tensor::f_cat(&[&begin, &words], 0)?,
    })
}

/// What is measured of a trained model.
struct Found {
    /// Mean mass on words that cannot follow.
    wrong: f64,
    /// Perplexity of its samples under the language.
    oracle: f64,
    /// Perplexity of fresh sentences under the model.
    test: f64,
    transitions: Tensor,
}

fn train(
    seed: u64,
    language: &Synonyms,
    data: &Batch,
    objective: &dyn Objective<dyn LanguageModel>,
) -> Result<Found> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let config = TransformerLanguageModelConfig {
        transformer: TransformerConfig { width: 64, heads: 4, ..TransformerConfig::default() },
        length: LENGTH + 1,
        tied: true,
    };
    let model = TransformerLanguageModel::new(&params.root(), VOCABULARY as i64, &config)?;
    let optim = OptimConfig {
        steps: 400,
        lr: 2e-3,
        clip: 1.0,
        schedule: Schedule::Cosine { warmup: 20, last: 0.1 },
        ..OptimConfig::default()
    };
    fit(&params, &optim, seed, |_| {
        Ok(objective.loss(&model as &dyn LanguageModel, &draw(data, 32)?)?.value)
    })?;
    let _no_grad = tch::no_grad_guard();
    Seeds::new(seed).stream("test").seed_torch(0);
    let fresh = language.world.sample(2000, LENGTH, None)?;
    let model: &dyn LanguageModel = &model;
    let nll = host::scalar(&CrossEntropy.loss(model, &fresh)?.value)?;
    let samples = sample(model, 2000, LENGTH, None)?;
    let q = wrong_mass(model, &fresh, &language.world)?;
    Ok(Found {
        wrong: q,
        oracle: (-language.world.oracle_log_prob(&samples)?).exp(),
        test: nll.exp(),
        transitions: transitions(model)?,
    })
}

/// The mean mass that the model puts on words which cannot follow, in fresh sentences.
fn wrong_mass(model: &dyn LanguageModel, fresh: &Batch, world: &World) -> Result<f64> {
    let before = fresh.data.f_narrow(1, 0, LENGTH)?;
    let q = model.logits(&before)?.f_softmax(-1, Kind::Float)?;
    let impossible = world.p.f_eq(0.0)?.f_to_kind(Kind::Float)?;
    let impossible = impossible.f_index_select(0, &before.f_reshape([-1])?)?;
    // After the beginning any word may come.
    let mass = q.f_mul(&impossible.f_view_as(&q)?)?.f_narrow(1, 1, LENGTH - 1)?;
    let sum = mass.f_sum_dim_intlist([-1_i64].as_slice(), false, Kind::Double)?;
    Ok(host::scalar(&sum.f_mean(Kind::Double)?)?)
}

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let language = synonyms(seed)?;
    Seeds::new(seed).stream("data").seed_torch(0);
    let data = language.world.sample(SENTENCES, LENGTH, None)?;
    let by =
        |objective: &dyn Objective<dyn LanguageModel>| train(seed, &language, &data, objective);
    let emo = |vectors: &Tensor| {
        let cost = Cost::Fixed(vectors.f_to_kind(Kind::Float)?);
        by(&Emo::new(EmoLead::Likelihood, cost)?)
    };
    let (mle, mixce) = (by(&CrossEntropy)?, by(&MixCe::new(0.5)?)?);
    let (ours, control) = (emo(&language.vectors)?, emo(&language.shuffled)?);
    for (name, found) in
        [("likelihood", &mle), ("MixCE", &mixce), ("EMO", &ours), ("EMO, shuffled", &control)]
    {
        tracing::info!(
            "  {name}: wrong mass {:.4}, oracle perplexity {:.2}, test perplexity {:.2}",
            found.wrong,
            found.oracle,
            found.test
        );
    }
    let exact =
        (-language.world.oracle_log_prob(&language.world.sample(2000, LENGTH, None)?)?).exp();
    picture(out, &language.world, [&mle, &mixce, &ours, &control])?;
    Ok(vec![
        Check::at_most(
            "mass on words that cannot follow, EMO / likelihood",
            "less than 1",
            ours.wrong / mle.wrong,
            0.999,
        )
        .beside("MixCE / likelihood", mixce.wrong / mle.wrong),
        Check::at_most(
            "oracle perplexity of samples, EMO / likelihood",
            "less than 1",
            ours.oracle / mle.oracle,
            0.999,
        )
        .beside("the language's own / likelihood", exact / mle.oracle),
        Check::at_least(
            "mass on words that cannot follow, EMO on shuffled vectors / EMO",
            "more than 1",
            control.wrong / ours.wrong,
            1.001,
        )
        .beside("test perplexity (not accepted by), EMO / likelihood", ours.test / mle.test),
    ])
}

/// Sorted transition probabilities of one word: how much goes to words that can follow (the first
/// twelve places), and how much elsewhere.
fn picture(out: &Path, world: &World, found: [&Found; 4]) -> Result<()> {
    let mut chart = LineChart::new(
        "Mean next-word probability, words that can follow first",
        "word, sorted",
        "probability",
    );
    let possible = world.p.f_narrow(0, 1, VOCABULARY as i64 - 1)?;
    let order = possible.f_argsort(1, true)?;
    let names = ["likelihood", "MixCE", "EMO", "EMO, shuffled vectors"];
    for (name, found) in names.into_iter().zip(found) {
        let rows = found.transitions.f_narrow(0, 1, VOCABULARY as i64 - 1)?;
        let sorted =
            rows.f_gather(1, &order, false)?.f_mean_dim([0_i64].as_slice(), false, None)?;
        let points = host::to_vec(&sorted)?.into_iter().enumerate();
        let points = points.map(|(i, q)| (i as f64 + 1.0, q)).collect();
        chart = chart.series(Series { name: name.to_owned(), points, stroke: Stroke::Dotted });
    }
    Ok(std::fs::write(out.join("next-word.svg"), chart.svg())?)
}
