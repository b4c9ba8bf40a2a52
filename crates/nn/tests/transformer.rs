use crate::networks::{every_parameter_gets_a_gradient, normal};
use maxlik_nn::{
    AttentionKernel, CausalTransformer, FeedForward, NormKind, Params, Positions, TransformerConfig,
};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use tch::{Device, Kind, Tensor};

const LENGTH: i64 = 7;

fn small() -> TransformerConfig {
    TransformerConfig { width: 16, heads: 4, layers: 2, ..TransformerConfig::default() }
}

/// One of each kind of norm, position, feed-forward network, attention and sharing of heads.
fn table() -> Vec<TransformerConfig> {
    let rotary = Positions::Rotary { base: 10_000.0 };
    vec![
        small(),
        TransformerConfig { norm: NormKind::RmsNorm, positions: rotary, ..small() },
        TransformerConfig { feed_forward: FeedForward::Swiglu, kv_heads: Some(2), ..small() },
        TransformerConfig { attention: AttentionKernel::Composed, positions: rotary, ..small() },
        TransformerConfig { positions: Positions::None {}, kv_heads: Some(1), ..small() },
    ]
}

fn build(config: &TransformerConfig, kind: Kind) -> (Params, CausalTransformer) {
    let params = Params::new(5, kind, Device::Cpu);
    let net = CausalTransformer::new(&params.root(), LENGTH, config).unwrap();
    (params, net)
}

fn off(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().to_kind(Kind::Double).double_value(&[])
}

#[test]
fn outputs_see_no_later_token() {
    for config in table() {
        let (params, net) = build(&config, Kind::Double);
        let h = leaf(&normal(1, &[2, LENGTH, 16])).unwrap();
        let out = net.forward(&h).unwrap();
        every_parameter_gets_a_gradient(&params, &out);
        for token in 0..LENGTH {
            let cotangent = normal(2, &[2, 16]);
            let one = net.forward(&h).unwrap().select(1, token);
            let slope = gradient(&one, Some(&cotangent), &h, Graph::Free).unwrap();
            let seen = slope.narrow(1, 0, token + 1).abs().amax([0, 2], false);
            assert!(seen.min().double_value(&[]) > 1e-6, "{config:?}: {token} misses a token");
            let later = slope.narrow(1, token + 1, LENGTH - token - 1);
            assert_eq!(later.abs().sum(Kind::Double).double_value(&[]), 0.0, "{config:?}");
        }
        assert_eq!(net.forward(&h.narrow(0, 0, 0)).unwrap().size(), [0, LENGTH, 16]);
    }
}

#[test]
fn cached_tokens_are_those_of_the_whole_sequence() {
    for (kind, tolerance) in [(Kind::Double, 1e-13), (Kind::Float, 2e-6)] {
        for config in table() {
            let (_params, net) = build(&config, kind);
            let h = normal(1, &[3, LENGTH, 16]).to_kind(kind);
            let whole = net.forward(&h).unwrap();
            // With a graph, without one, and in blocks of several tokens.
            for (record, blocks) in
                [(true, vec![1; 7]), (false, vec![1; 7]), (false, vec![2, 1, 4])]
            {
                let _guard = (!record).then(tch::no_grad_guard);
                let mut cache = net.cache();
                let mut parts = Vec::new();
                for tokens in blocks {
                    let next = h.narrow(1, cache.len(), tokens);
                    parts.push(net.extend(&next, &mut cache).unwrap());
                }
                assert_eq!(cache.len(), LENGTH);
                let error = off(&Tensor::cat(&parts, 1), &whole);
                assert!(error < tolerance, "{config:?}: {error:e}");
            }
        }
    }
}

#[test]
fn a_truncated_cache_goes_on_from_there() {
    let (_params, net) = build(&small(), Kind::Double);
    let h = normal(1, &[2, LENGTH, 16]);
    for record in [true, false] {
        let _guard = (!record).then(tch::no_grad_guard);
        let whole = net.forward(&h).unwrap();
        let mut cache = net.cache();
        assert!(cache.is_empty());
        let _ = net.extend(&h.narrow(1, 0, 3), &mut cache).unwrap();
        let _ = net.extend(&normal(8, &[2, 4, 16]), &mut cache).unwrap();
        cache.truncate(3);
        let rest = net.extend(&h.narrow(1, 3, 4), &mut cache).unwrap();
        assert!(off(&rest, &whole.narrow(1, 3, 4)) < 1e-13);
    }
}

#[test]
fn both_kernels_give_the_same_numbers_and_one_has_second_derivatives() {
    let make = |attention| build(&TransformerConfig { attention, ..small() }, Kind::Double);
    let (_a, fused) = make(AttentionKernel::Fused);
    let (_b, composed) = make(AttentionKernel::Composed);
    let h = leaf(&normal(1, &[2, LENGTH, 16])).unwrap();
    let (one, two) = (fused.forward(&h).unwrap(), composed.forward(&h).unwrap());
    assert!(off(&one, &two) < 1e-13);
    let u = normal(2, &two.size());
    let slope = |y: &Tensor, graph| gradient(y, Some(&u), &h, graph).unwrap();
    assert!(off(&slope(&one, Graph::Keep), &slope(&two, Graph::Keep)) < 1e-12);
    let second = slope(&two, Graph::Differentiable).square().sum(Kind::Double);
    let second = gradient(&second, None, &h, Graph::Free).unwrap();
    assert!(second.abs().max().double_value(&[]) > 0.0);
}

#[test]
fn positions_matter_and_follow_a_permutation() {
    let h = normal(1, &[2, 1, 16]).expand([2, LENGTH, 16], false);
    for config in table() {
        let (_params, net) = build(&config, Kind::Double);
        let out = net.forward(&h).unwrap();
        let apart = off(&out.select(1, 2), &out.select(1, 5));
        // Equal tokens attend to equal values: only an added position can tell them apart.
        assert_eq!(apart > 1e-9, matches!(config.positions, Positions::Learned {}), "{config:?}");
        let reversed: Vec<i64> = (0..LENGTH).rev().collect();
        let (_params, other) = build(&config, Kind::Double);
        let other = other.at_places(&reversed).unwrap();
        let x = normal(3, &[2, LENGTH, 16]);
        let moved = off(&net.forward(&x).unwrap(), &other.forward(&x).unwrap());
        assert_eq!(moved > 1e-9, !matches!(config.positions, Positions::None {}), "{config:?}");
        // A relative position: the same distances at other places give the same numbers.
        if matches!(config.positions, Positions::Rotary { .. }) {
            let shifted: Vec<i64> = vec![2, 3, 4, 5, 6, 6, 6];
            let (_params, late) = build(&config, Kind::Double);
            let late = late.at_places(&shifted).unwrap();
            let x = x.narrow(1, 0, 5);
            assert!(off(&net.forward(&x).unwrap(), &late.forward(&x).unwrap()) < 1e-12);
        }
    }
}

#[test]
fn temperature_blurs_attention() {
    let (_params, net) = build(&small(), Kind::Double);
    let h = normal(1, &[2, LENGTH, 16]);
    let at = |t: f64| net.extend(&h, &mut net.cache().at_temperature(t)).unwrap();
    assert!(off(&at(1.0), &net.forward(&h).unwrap()) < 1e-13);
    assert!(off(&at(1.5), &at(1.0)) > 1e-6);
}

#[test]
fn what_does_not_fit_is_refused() {
    let params = Params::new(5, Kind::Double, Device::Cpu);
    let message = |config: TransformerConfig| {
        CausalTransformer::new(&params.root(), LENGTH, &config).unwrap_err().to_string()
    };
    assert_eq!(
        message(TransformerConfig { heads: 3, ..small() }),
        "heads: expected heads that divide the width 16, got 3"
    );
    assert_eq!(
        message(TransformerConfig { kv_heads: Some(3), ..small() }),
        "kv_heads: expected a divisor of 4 heads, got 3"
    );
    let rotary = Positions::Rotary { base: 1e4 };
    assert!(
        message(TransformerConfig { heads: 16, positions: rotary, ..small() })
            .starts_with("positions: rotary needs heads of even width")
    );
    let (_params, net) = build(&small(), Kind::Double);
    let error = net.forward(&normal(1, &[1, LENGTH + 1, 16])).unwrap_err().to_string();
    assert_eq!(error, "hidden states: expected shape [B, T, 16] with T up to 7, got [1, 8, 16]");
    assert!(net.at_places(&[0, 1]).is_err());
}
