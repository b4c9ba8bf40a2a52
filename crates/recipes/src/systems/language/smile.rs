//! SMILE on captions of scenes: five attributes, of which a reference mentions each with a probability.
//!
//! The captioner is a causal transformer over scene tokens and then the caption. All three
//! continuations start from the same maximum-likelihood weights.

use super::super::fit::fit;
use super::super::{Check, System};
use anyhow::Result;
use maxlik_model::{Batch, LanguageModel, Objective};
use maxlik_nn::decode::Beam;
use maxlik_nn::{
    Params, TransformerConfig, TransformerLanguageModel, TransformerLanguageModelConfig,
};
use maxlik_objectives::sequence::{CrossEntropy, Smile, WordSet};
use maxlik_tensor::{Seeds, host};
use maxlik_train::OptimConfig;
use rand::Rng;
use std::fmt::Write as _;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// SMILE.
pub(in super::super) const SYSTEM: System = System {
    name: "smile",
    about: "captions by semipermeable likelihood (SMILE, arXiv:2306.13460)",
    claim: "longer captions with more detail than likelihood's, still true of the picture; paper, \
            COCO: 22.3 words against about 10",
    run,
};

/// Colour, size, place, texture, shape.
const ATTRIBUTES: usize = 5;
const VALUES: usize = 6;
/// How often a reference mentions an attribute; the shape it always does.
const MENTIONED: f64 = 0.4;
/// Tokens: padding, end, the article, then scene tokens, then words.
const END: i64 = 1;
const ARTICLE: i64 = 2;
const SCENE: i64 = 3;
const WORD: i64 = SCENE + (ATTRIBUTES * VALUES) as i64;
const VOCABULARY: i64 = WORD + (ATTRIBUTES * VALUES) as i64;
/// The longest caption: article, all attributes, end.
const CAPTION: usize = ATTRIBUTES + 2;
const STEPS: u64 = 300;

type Scene = [usize; ATTRIBUTES];

fn scene(rng: &mut impl Rng) -> Scene {
    std::array::from_fn(|_| rng.random_range(0..VALUES))
}

fn token(first: i64, attribute: usize, value: usize) -> i64 {
    first + (attribute * VALUES + value) as i64
}

fn prompt(scene: &Scene) -> Vec<i64> {
    scene.iter().enumerate().map(|(a, &v)| token(SCENE, a, v)).collect()
}

/// A reference of a scene: the article, some attributes, the shape, the end.
fn reference(scene: &Scene, rng: &mut impl Rng) -> Vec<i64> {
    let mut caption = vec![ARTICLE];
    for (attribute, &value) in scene.iter().enumerate() {
        if attribute == ATTRIBUTES - 1 || rng.random_bool(MENTIONED) {
            caption.push(token(WORD, attribute, value));
        }
    }
    caption.push(END);
    caption
}

/// Scenes with fresh references; only the caption counts.
fn batch(count: usize, rng: &mut impl Rng) -> Result<Batch> {
    let width = ATTRIBUTES + CAPTION;
    let (mut tokens, mut weight) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let scene = scene(rng);
        let mut row = prompt(&scene);
        row.extend(reference(&scene, rng));
        let used = row.len();
        row.resize(width, 0);
        tokens.extend(row);
        weight.extend((0..width).map(|t| f32::from(u8::from((ATTRIBUTES..used).contains(&t)))));
    }
    let shape = [count as i64, width as i64];
    Ok(Batch {
        data: Tensor::f_from_slice(&tokens)?.f_view(shape)?,
        context: None,
        weight: Some(Tensor::f_from_slice(&weight)?.f_view(shape)?),
    })
}

fn build(params: &Params) -> Result<TransformerLanguageModel> {
    let config = TransformerLanguageModelConfig {
        transformer: TransformerConfig { width: 64, heads: 4, ..TransformerConfig::default() },
        length: (ATTRIBUTES + CAPTION) as i64,
        tied: true,
    };
    Ok(TransformerLanguageModel::new(&params.root(), VOCABULARY, &config)?)
}

fn train(
    seed: u64,
    stream: &str,
    params: &Params,
    model: &TransformerLanguageModel,
    objective: &dyn Objective<dyn LanguageModel>,
) -> Result<()> {
    let stream = Seeds::new(seed).stream(stream);
    let optim = OptimConfig { steps: STEPS, lr: 2e-3, clip: 1.0, ..OptimConfig::default() };
    fit(params, &optim, seed, |step| {
        let batch = batch(64, &mut stream.rng(step))?;
        Ok(objective.loss(model as &dyn LanguageModel, &batch)?.value)
    })
}

/// What is measured of a captioner on 200 scenes.
#[derive(Debug, Default)]
struct Found {
    /// Mean number of words, the end not counted.
    length: f64,
    /// How often the right scene fits a caption best, ties shared.
    recall: f64,
    /// Share of the words that are true of the scene.
    precision: f64,
    /// Perplexity of fresh references.
    perplexity: f64,
    /// Captions of the first scenes, as text.
    examples: String,
}

fn measure(seed: u64, model: &TransformerLanguageModel) -> Result<Found> {
    let stream = Seeds::new(seed).stream("test");
    let mut rng = stream.rng(0);
    let scenes: Vec<Scene> = (0..200).map(|_| scene(&mut rng)).collect();
    let beam = Beam { width: 3, tokens: CAPTION as i64, length_penalty: 0.0, end: Some(END) };
    let mut found = Found::default();
    let (mut words, mut right) = (0_usize, 0_usize);
    for own in &scenes {
        let prompt = Tensor::f_from_slice(&prompt(own))?;
        let best = beam.run(&mut *model.session(), &prompt)?.into_iter().next();
        let caption = best.map_or_else(Vec::new, |hypothesis| hypothesis.tokens);
        let caption: Vec<i64> = caption.into_iter().filter(|&t| t != END).collect();
        found.length += caption.len() as f64 / scenes.len() as f64;
        let said: Vec<i64> = caption.into_iter().filter(|&t| t != ARTICLE).collect();
        words += said.len();
        right += fits(own, &said);
        let best = scenes.iter().map(|scene| fits(scene, &said)).max().unwrap_or_default();
        let ties = scenes.iter().filter(|scene| fits(scene, &said) == best).count();
        if fits(own, &said) == best {
            found.recall += 1.0 / (ties * scenes.len()) as f64;
        }
        if found.examples.lines().count() < 5 {
            writeln!(found.examples, "{own:?}: a {}", text(&said))?;
        }
    }
    found.precision = right as f64 / words.max(1) as f64;
    let _no_grad = tch::no_grad_guard();
    let fresh = batch(1000, &mut stream.rng(1))?;
    let nll = CrossEntropy.loss(model as &dyn LanguageModel, &fresh)?.value;
    found.perplexity = host::scalar(&nll)?.exp();
    Ok(found)
}

/// Number of words that are true of a scene.
fn fits(scene: &Scene, words: &[i64]) -> usize {
    let truths = scene.iter().enumerate();
    truths.filter(|(a, v)| words.contains(&token(WORD, *a, **v))).count()
}

fn text(words: &[i64]) -> String {
    let names = ["colour", "size", "place", "texture", "shape"];
    let word = |&t: &i64| match usize::try_from(t - WORD) {
        Ok(at) => format!("{}{}", names[at / VALUES], at % VALUES),
        Err(_) => format!("<{t}>"),
    };
    words.iter().map(word).collect::<Vec<String>>().join(" ")
}

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let model = build(&params)?;
    train(seed, "start", &params, &model, &CrossEntropy)?;
    let start: Vec<(String, Tensor)> =
        params.named().into_iter().map(|(name, t)| (name, t.detach().copy())).collect();
    let mut captions = String::new();
    let mut go_on = |name: &str, objective: &dyn Objective<dyn LanguageModel>| -> Result<Found> {
        params.load(&start)?;
        train(seed, "continuation", &params, &model, objective)?;
        let found = measure(seed, &model)?;
        tracing::info!(
            "  {name}: length {:.2}, R@1 {:.3}, precision {:.3}, perplexity {:.3}",
            found.length,
            found.recall,
            found.precision,
            found.perplexity
        );
        writeln!(captions, "{name}\n{}", found.examples)?;
        Ok(found)
    };
    let mle = go_on("likelihood", &CrossEntropy)?;
    let smile = go_on("SMILE", &Smile::default())?;
    let reverse = go_on("reverse SMILE", &Smile::mixed(0.0, WordSet::Others)?)?;
    std::fs::write(out.join("captions.txt"), captions)?;
    Ok(vec![
        Check::at_least(
            "length of captions, SMILE / likelihood",
            "at least 1.3",
            smile.length / mle.length,
            1.3,
        )
        .beside("likelihood's length in words", mle.length),
        Check::at_least(
            "scene found by its caption among 200 (R@1), SMILE - likelihood",
            "more than 0",
            smile.recall - mle.recall,
            0.001,
        )
        .beside("likelihood's R@1", mle.recall),
        Check::at_least(
            "share of SMILE's words that are true of the scene",
            "at least 0.95",
            smile.precision,
            0.95,
        )
        .beside("likelihood's", mle.precision),
        Check::at_most(
            "length of captions, reverse SMILE / likelihood",
            "at most 1",
            reverse.length / mle.length,
            1.0,
        ),
        Check::at_least(
            "perplexity of references, SMILE / likelihood (the cost)",
            "more than 1",
            smile.perplexity / mle.perplexity,
            1.001,
        )
        .beside("likelihood's perplexity", mle.perplexity),
    ])
}

#[cfg(test)]
mod tests {
    use super::{ATTRIBUTES, CAPTION, WORD, batch, fits, prompt, reference, token};
    use maxlik_tensor::Seeds;
    use tch::Kind;

    #[test]
    fn references_are_true_of_their_scenes() -> anyhow::Result<()> {
        let mut rng = Seeds::new(1).stream("test").rng(0);
        let mut total = 0;
        for _ in 0..2000 {
            let scene = super::scene(&mut rng);
            let words = reference(&scene, &mut rng);
            assert_eq!(words.iter().filter(|&&t| t >= WORD).count(), fits(&scene, &words));
            assert!(words.contains(&token(WORD, ATTRIBUTES - 1, scene[ATTRIBUTES - 1])));
            total += words.len();
            assert_eq!(prompt(&scene).len(), ATTRIBUTES);
        }
        // Article, shape, end, and four attributes at 0.4: five standard errors.
        assert!((f64::from(total as u32) / 2000.0 - 4.6).abs() < 5.0 * (0.96_f64 / 2000.0).sqrt());
        let batch = batch(7, &mut rng)?;
        assert_eq!(batch.data.size(), [7, (ATTRIBUTES + CAPTION) as i64]);
        let counted = batch.weight.map_or(0.0, |w| w.sum(Kind::Double).double_value(&[]));
        let words = batch.data.gt(0).sum(Kind::Double).double_value(&[]) - 7.0 * ATTRIBUTES as f64;
        assert_eq!(counted, words);
        Ok(())
    }
}
