use maxlik_model::{LanguageModel, Session};
use maxlik_nn::decode::{Beam, Choice, Generation, Sampling, Uncached};
use maxlik_nn::{
    BigramTable, FeedForward, NormKind, Params, Positions, TransformerConfig,
    TransformerLanguageModel, TransformerLanguageModelConfig,
};
use maxlik_tensor::with_seed;
use tch::{Device, Kind, Tensor};

const VOCABULARY: i64 = 6;

fn transformer(params: &Params, tied: bool) -> TransformerLanguageModel {
    let transformer = TransformerConfig {
        width: 16,
        heads: 4,
        kv_heads: Some(2),
        norm: NormKind::RmsNorm,
        positions: Positions::Rotary { base: 10_000.0 },
        feed_forward: FeedForward::Swiglu,
        ..TransformerConfig::default()
    };
    let config = TransformerLanguageModelConfig { transformer, length: 12, tied };
    let model = TransformerLanguageModel::new(&params.root(), VOCABULARY, &config).unwrap();
    // Far from uniform, so that tests have something to see.
    let _no_grad = tch::no_grad_guard();
    for (_, mut tensor) in params.trainable() {
        if tensor.dim() == 2 {
            let _ = tensor.g_mul_scalar_(4.0);
        }
    }
    model
}

fn store(seed: u64) -> Params {
    Params::new(seed, Kind::Double, Device::Cpu)
}

fn tokens(seed: u64, shape: &[i64]) -> Tensor {
    with_seed(seed, || Tensor::randint(VOCABULARY, shape, (Kind::Int64, Device::Cpu)))
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// A session gives the logits of the whole sequence, token by token, also after rows were chosen.
#[test]
fn sessions_agree_with_whole_sequences() {
    let params = store(1);
    for model in [transformer(&params, true), transformer(&store(2), false)] {
        let x = tokens(3, &[3, 9]);
        let whole = model.logits(&x).unwrap();
        let _no_grad = tch::no_grad_guard();
        let (mut cached, mut uncached) = (model.session(), Uncached::new(&model));
        let sessions: [&mut dyn Session; 2] = [&mut *cached, &mut uncached];
        for session in sessions {
            let first = session.extend(&x.narrow(1, 0, 4)).unwrap();
            assert!(distance(&first, &whole.narrow(1, 0, 4)) < 1e-12);
            let rows = Tensor::from_slice(&[2_i64, 0, 2, 1]);
            session.select(&rows).unwrap();
            let (x, whole) = (x.index_select(0, &rows), whole.index_select(0, &rows));
            for t in 4..9 {
                let next = session.extend(&x.narrow(1, t, 1)).unwrap();
                assert!(distance(&next, &whole.narrow(1, t, 1)) < 1e-12);
            }
        }
        assert!(cached.extend(&x.narrow(1, 0, 4)).is_err(), "twelve tokens are the limit");
    }
    assert!(params.named().iter().all(|(name, _)| name != "head"));
}

/// Log-probabilities of drawn tokens are those of the model for the finished sequence, whatever they
/// were drawn by; after the end there is padding that counts nothing.
#[test]
fn generated_tokens_have_the_model_s_log_probabilities() {
    let params = store(1);
    let model = transformer(&params, true);
    let prompt = tokens(4, &[40, 2]);
    let choices = [
        Choice::Greedy {},
        Choice::Sample(Sampling::default()),
        Choice::Sample(Sampling { temperature: 0.7, top_k: Some(4), top_p: Some(0.9) }),
    ];
    for choice in choices {
        let generation = Generation { tokens: 8, choice, end: Some(2), pad: 5 };
        let mut steps = 0;
        let out = with_seed(9, || {
            generation.stream(&mut *model.session(), &prompt, |_| {
                steps += 1;
                Ok(true)
            })
        })
        .unwrap();
        assert_eq!(steps, out.tokens.size()[1]);
        let mut ended = 0;
        let all = Tensor::cat(&[&prompt, &out.tokens], 1);
        let length = all.size()[1] - 1;
        let log_q = model.logits(&all.narrow(1, 0, length)).unwrap().log_softmax(-1, None::<Kind>);
        let own = log_q.gather(-1, &all.narrow(1, 1, length).unsqueeze(-1), false).squeeze_dim(-1);
        let own = own.narrow(1, 1, out.tokens.size()[1]) * &out.weight;
        assert!(distance(&own, &out.log_prob) < 1e-12, "{choice:?}");
        for row in 0..40 {
            let mut alive = true;
            for t in 0..out.tokens.size()[1] {
                assert_eq!(out.weight.double_value(&[row, t]), f64::from(u8::from(alive)));
                let token = out.tokens.int64_value(&[row, t]);
                assert!(alive || token == 5);
                ended += i32::from(alive && token == 2);
                alive &= token != 2;
            }
        }
        assert!(ended > 0, "no sequence ended: nothing was tested");
    }
    // The caller may stop.
    let generation = Generation { tokens: 8, ..Generation::default() };
    let out = generation.stream(&mut *model.session(), &prompt, |_| Ok(false)).unwrap();
    assert_eq!(out.tokens.size(), [40, 1]);
}

/// The distributions after temperature, top-k and nucleus, by hand.
#[test]
fn changed_distributions() {
    let q = Tensor::from_slice(&[0.1, 0.4, 0.05, 0.3, 0.15]).view([1, 5]);
    let change =
        |s: Sampling| Vec::<f64>::try_from(s.probabilities(&q.log()).unwrap().view(5)).unwrap();
    let near = |found: Vec<f64>, expected: [f64; 5]| {
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} {expected:?}");
        }
    };
    near(change(Sampling::default()), [0.1, 0.4, 0.05, 0.3, 0.15]);
    let top = Sampling { top_k: Some(2), ..Sampling::default() };
    near(change(top), [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
    let nucleus = |p: f64| change(Sampling { top_p: Some(p), ..Sampling::default() });
    near(nucleus(0.69), [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
    near(nucleus(0.71), [0.0, 0.4 / 0.85, 0.0, 0.3 / 0.85, 0.15 / 0.85]);
    near(nucleus(1e-9), [0.0, 1.0, 0.0, 0.0, 0.0]);
    let squares = [0.01, 0.16, 0.0025, 0.09, 0.0225].map(|v: f64| v / 0.285);
    near(change(Sampling { temperature: 0.5, ..Sampling::default() }), squares);
    for wrong in [
        Sampling { temperature: 0.0, ..Sampling::default() },
        Sampling { top_k: Some(0), ..Sampling::default() },
        Sampling { top_p: Some(1.5), ..Sampling::default() },
    ] {
        assert!(wrong.check().is_err());
    }
}

/// Ancestral samples of two tokens come as often as the table says: five standard errors.
#[test]
fn samples_follow_the_model() {
    let params = store(6);
    let table = BigramTable::new(&params.root(), 3).unwrap();
    let logits = Tensor::from_slice(&[0.0, 1.0, -1.0, 0.5, 0.0, 0.2, -0.3, 0.9, 0.1]);
    params.load(&[("table".to_owned(), logits.view([3, 3]))]).unwrap();
    let count = 20_000;
    let prompt = Tensor::zeros([count, 1], (Kind::Int64, Device::Cpu));
    let generation = Generation { tokens: 2, ..Generation::default() };
    let out = with_seed(1, || generation.run(&mut *table.session(), &prompt)).unwrap();
    let q = table.table().softmax(-1, None::<Kind>);
    let pair = out.tokens.select(1, 0) * 3 + out.tokens.select(1, 1);
    for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
        let exact = q.double_value(&[0, i]) * q.double_value(&[i, j]);
        let seen = pair.eq(i * 3 + j).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        let error = (exact * (1.0 - exact) / count as f64).sqrt();
        assert!((seen - exact).abs() < 5.0 * error, "{i} {j}: {seen} {exact}");
    }
}

/// A beam as wide as all prefixes finds the mode and the order of all sequences; width one is greedy.
#[test]
fn beams_against_enumeration() {
    let params = store(1);
    let model = transformer(&params, true);
    let prompt = tokens(8, &[2]);
    let wide = Beam { width: 300, tokens: 3, length_penalty: 0.0, end: Some(1) };
    let found = wide.run(&mut *model.session(), &prompt).unwrap();
    let mut exact = Vec::new();
    enumerate(&model, &prompt, &mut Vec::new(), 0.0, &mut exact);
    exact.sort_by(|a: &(Vec<i64>, f64), b| b.1.total_cmp(&a.1));
    assert_eq!(found.len(), exact.len());
    for (hypothesis, (tokens, log_prob)) in found.iter().zip(&exact) {
        assert!((hypothesis.log_prob - log_prob).abs() < 1e-10);
        assert_eq!(&hypothesis.tokens, tokens);
    }
    let total: f64 = exact.iter().map(|(_, log_prob)| log_prob.exp()).sum();
    assert!((total - 1.0).abs() < 1e-10);
    let greedy = Generation { tokens: 3, choice: Choice::Greedy {}, end: Some(1), pad: 1 };
    let greedy = greedy.run(&mut *model.session(), &prompt.unsqueeze(0)).unwrap();
    let narrow = Beam { width: 1, ..wide }.run(&mut *model.session(), &prompt).unwrap();
    let length = narrow[0].tokens.len() as i64;
    let same = Vec::<i64>::try_from(greedy.tokens.get(0).narrow(0, 0, length)).unwrap();
    assert_eq!(narrow[0].tokens, same);
    let scored = Beam { length_penalty: 1.0, ..wide }.run(&mut *model.session(), &prompt).unwrap();
    for h in &scored {
        assert!((h.score - h.log_prob / h.tokens.len() as f64).abs() < 1e-12);
    }
    assert!(Beam { width: 0, ..wide }.run(&mut *model.session(), &prompt).is_err());
}

fn enumerate(
    model: &TransformerLanguageModel,
    prompt: &Tensor,
    prefix: &mut Vec<i64>,
    log_prob: f64,
    out: &mut Vec<(Vec<i64>, f64)>,
) {
    if prefix.len() == 3 || prefix.last() == Some(&1) {
        out.push((prefix.clone(), log_prob));
        return;
    }
    let all = Tensor::cat(&[prompt.shallow_clone(), Tensor::from_slice(prefix)], 0).unsqueeze(0);
    let log_q = model.logits(&all).unwrap().select(1, -1).log_softmax(-1, None::<Kind>);
    for token in 0..VOCABULARY {
        prefix.push(token);
        enumerate(model, prompt, prefix, log_prob + log_q.double_value(&[0, token]), out);
        prefix.pop();
    }
}

#[test]
fn wrong_tokens_are_refused() {
    let params = store(1);
    let model = transformer(&params, true);
    let says = |x: &Tensor| model.logits(x).unwrap_err().to_string();
    assert!(says(&tokens(1, &[2, 13])).contains("T up to 12"));
    assert!(says(&tokens(1, &[3])).contains("[B, T]"));
    assert!(says(&tokens(1, &[2, 3]).to_kind(Kind::Int)).contains("expected dtype Int64"));
    assert!(BigramTable::new(&params.root(), 0).is_err());
}
