use maxlik_model::LanguageModel;
use maxlik_nn::decode::{Beam, Choice, Generation, Uncached};
use maxlik_nn::{
    AttentionKernel, EncoderDecoder, EncoderDecoderConfig, Params, Positions, TransformerConfig,
};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::with_seed;
use tch::{Device, Kind, Tensor};

const SOURCE: i64 = 7;
const TARGET: i64 = 6;

struct Case {
    params: Params,
    model: EncoderDecoder,
}

fn case(positions: Positions, attention: AttentionKernel) -> Case {
    let params = Params::new(5, Kind::Double, Device::Cpu);
    let transformer = TransformerConfig {
        width: 16,
        heads: 4,
        kv_heads: Some(2),
        positions,
        attention,
        ..TransformerConfig::default()
    };
    let config = EncoderDecoderConfig { transformer, source: 8, target: 10, tied: false };
    let model = EncoderDecoder::new(&params.root(), [SOURCE, TARGET], &config).unwrap();
    // Far from uniform, so that tests have something to see.
    let _no_grad = tch::no_grad_guard();
    for (_, mut tensor) in params.trainable() {
        if tensor.dim() == 2 {
            let _ = tensor.g_mul_scalar_(4.0);
        }
    }
    Case { params, model }
}

fn cases() -> [Case; 3] {
    [
        case(Positions::Learned {}, AttentionKernel::Fused),
        case(Positions::Rotary { base: 10_000.0 }, AttentionKernel::Fused),
        case(Positions::Rotary { base: 10_000.0 }, AttentionKernel::Composed),
    ]
}

fn tokens(seed: u64, below: i64, shape: &[i64]) -> Tensor {
    with_seed(seed, || Tensor::randint(below, shape, (Kind::Int64, Device::Cpu)))
}

/// Three sources of which 5, 2 and 3 tokens are shown.
fn sources() -> [Tensor; 2] {
    let length = Tensor::from_slice(&[5_i64, 2, 3]).unsqueeze(1);
    let shown = Tensor::arange(5, (Kind::Int64, Device::Cpu)).unsqueeze(0).lt_tensor(&length);
    [tokens(1, SOURCE, &[3, 5]), shown]
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// A session gives the logits of the whole sequence, token by token, also after rows were chosen.
#[test]
fn sessions_agree_with_whole_targets() {
    let ([x, shown], y) = (sources(), tokens(2, TARGET, &[3, 9]));
    for Case { model, .. } in cases() {
        let given = model.given(&x, Some(&shown)).unwrap();
        let whole = given.logits(&y).unwrap();
        let _no_grad = tch::no_grad_guard();
        let mut session = given.session();
        let first = session.extend(&y.narrow(1, 0, 4)).unwrap();
        assert!(distance(&first, &whole.narrow(1, 0, 4)) < 1e-12);
        let rows = Tensor::from_slice(&[2_i64, 0, 2, 1]);
        session.select(&rows).unwrap();
        let (y, whole) = (y.index_select(0, &rows), whole.index_select(0, &rows));
        for t in 4..9 {
            let next = session.extend(&y.narrow(1, t, 1)).unwrap();
            assert!(distance(&next, &whole.narrow(1, t, 1)) < 1e-12);
        }
        // Chosen sources, without a second encoding.
        let chosen = given.select(&rows).unwrap();
        assert!(distance(&chosen.logits(&y).unwrap(), &whole) < 1e-12);
        assert!(session.extend(&y.narrow(1, 0, 2)).is_err(), "ten tokens are the limit");
    }
}

/// What stands at hidden places, and how many there are, changes nothing; what is shown does.
#[test]
fn padding_changes_nothing() {
    let ([x, shown], y) = (sources(), tokens(2, TARGET, &[3, 6]));
    for Case { model, .. } in cases() {
        let of = |x: &Tensor, shown: &Tensor| {
            model.given(x, Some(shown)).unwrap().logits(&y).unwrap().detach()
        };
        let plain = of(&x, &shown);
        let other = (&x + 1).remainder(SOURCE).where_self(&shown.logical_not(), &x);
        assert!(distance(&of(&other, &shown), &plain) < 1e-12);
        let (long, hidden) = (x.constant_pad_nd([0, 3]), shown.to_kind(Kind::Int64));
        assert!(distance(&of(&long, &hidden.constant_pad_nd([0, 3])), &plain) < 1e-12);
        // One source by itself, without any padding.
        let short = x.narrow(0, 1, 1).narrow(1, 0, 2);
        let alone = model.given(&short, None).unwrap().logits(&y.narrow(0, 1, 1)).unwrap();
        assert!(distance(&alone, &plain.narrow(0, 1, 1)) < 1e-12);
        // Every shown token is seen by every token of the target.
        for place in 0..2 {
            let changed = short.copy();
            let _ = changed.narrow(1, place, 1).g_add_scalar_(1).remainder_(SOURCE);
            let found = model.given(&changed, None).unwrap().logits(&y.narrow(0, 1, 1)).unwrap();
            let each = (found - &alone).abs().amax([0_i64, 2].as_slice(), false);
            assert!(each.min().double_value(&[]) > 1e-6);
        }
    }
}

/// A token of the target changes what is predicted after it, and nothing before.
#[test]
fn targets_are_causal() {
    let ([x, shown], y) = (sources(), tokens(2, TARGET, &[3, 6]));
    for Case { model, .. } in cases() {
        let given = model.given(&x, Some(&shown)).unwrap();
        let plain = given.logits(&y).unwrap();
        for t in 0..6 {
            let changed = y.copy();
            let _ = changed.narrow(1, t, 1).g_add_scalar_(1).remainder_(TARGET);
            let each = (given.logits(&changed).unwrap() - &plain).abs();
            let each = each.amax([0_i64, 2].as_slice(), false);
            assert!(t == 0 || each.narrow(0, 0, t).max().double_value(&[]) < 1e-12);
            assert!(each.narrow(0, t, 6 - t).min().double_value(&[]) > 1e-9);
        }
    }
}

/// Derivatives along a random direction of every parameter, against central differences.
#[test]
fn gradients_agree_with_differences() {
    let ([x, shown], y) = (sources(), tokens(2, TARGET, &[3, 6]));
    for Case { params, model } in cases() {
        let loss = || {
            let logits = model.given(&x, Some(&shown)).unwrap().logits(&y).unwrap();
            let log_q = logits.log_softmax(-1, None::<Kind>);
            log_q.narrow(2, 0, 2).sum(Kind::Double)
        };
        let named = params.trainable();
        let leaves: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
        let found = grad(&[&loss()], &[None], &leaves, Graph::Free).unwrap();
        for ((name, tensor), gradient) in named.iter().zip(found) {
            let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
            let along = with_seed(7, || tensor.randn_like());
            let shifted = |by: f64| {
                let _no_grad = tch::no_grad_guard();
                let _ = tensor.shallow_clone().g_add_(&(&along * by));
                let value = loss().double_value(&[]);
                let _ = tensor.shallow_clone().g_add_(&(&along * -by));
                value
            };
            // Normalised embeddings are small: their loss bends fast.
            let step = 1e-6;
            let difference = (shifted(step) - shifted(-step)) / (2.0 * step);
            let exact = (gradient * &along).sum(Kind::Double).double_value(&[]);
            let error = (difference - exact).abs();
            assert!(error < 1e-5 * exact.abs().max(1.0), "{name}: {difference} {exact}");
        }
    }
}

/// Decoding takes a model with its source as any other: batches, and a beam for one source.
#[test]
fn decoding_from_sources() {
    let [x, shown] = sources();
    let Case { model, .. } = case(Positions::Learned {}, AttentionKernel::Fused);
    let given = model.given(&x, Some(&shown)).unwrap();
    let begin = Tensor::zeros([3, 1], (Kind::Int64, Device::Cpu));
    let greedy = Generation { tokens: 5, choice: Choice::Greedy {}, end: Some(1), pad: 1 };
    let cached = greedy.run(&mut *given.session(), &begin).unwrap();
    let plain = greedy.run(&mut Uncached::new(&given), &begin).unwrap();
    assert_eq!(cached.tokens, plain.tokens);
    let one = given.select(&Tensor::from_slice(&[1_i64])).unwrap();
    let beam = |width: i64| {
        let beam = Beam { width, tokens: 5, length_penalty: 0.0, end: Some(1) };
        beam.run(&mut *one.session(), &begin.get(0)).unwrap().remove(0)
    };
    let narrow = beam(1);
    let own = Vec::<i64>::try_from(cached.tokens.get(1)).unwrap();
    assert_eq!(narrow.tokens, own[..narrow.tokens.len()]);
    assert!(beam(20).log_prob >= narrow.log_prob - 1e-12);
}

#[test]
fn what_does_not_fit_is_refused() {
    let Case { model, .. } = case(Positions::Learned {}, AttentionKernel::Fused);
    let [x, shown] = sources();
    let says = |x: &Tensor, shown: &Tensor| model.given(x, Some(shown)).unwrap_err().to_string();
    assert!(says(&tokens(1, SOURCE, &[3, 9]), &shown).contains("T up to 8"));
    assert!(says(&x, &shown.narrow(1, 0, 4)).contains("shown: expected shape [3, 5]"));
    let nothing = shown.copy();
    let _ = nothing.get(1).fill_(0);
    assert!(says(&x, &nothing).contains("at least one token of each row"));
    let given = model.given(&x, None).unwrap();
    let error = given.logits(&tokens(2, TARGET, &[2, 4])).unwrap_err().to_string();
    assert!(error.contains("a row for each source"), "{error}");
    assert!(given.session().extend(&tokens(2, TARGET, &[2, 1])).is_err());
    let config = EncoderDecoderConfig { source: 0, ..EncoderDecoderConfig::default() };
    let params = Params::new(0, Kind::Double, Device::Cpu);
    assert!(EncoderDecoder::new(&params.root(), [3, 3], &config).is_err());
}
