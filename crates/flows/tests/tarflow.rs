use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::image::Patchify;
use maxlik_flows::tarflow::{
    Guidance, GuidanceRule, Inversion, Reference, Start, TarBlockConfig, TarBlockShape,
    TokenGaussian, TokenScale,
};
use maxlik_flows::{
    Compose, GaussianNoise, LabelDropout, Reshape, TarBlock, TarStack, TarflowConfig,
};
use maxlik_model::{Bijection, Density};
use maxlik_nn::{Params, Scope, TransformerConfig};
use maxlik_tensor::autograd::{Graph, jacobian};
use maxlik_testkit::{Subject, check_bijection, distance, normal};
use std::time::Instant;
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn small() -> TransformerConfig {
    TransformerConfig { width: 8, heads: 2, layers: 1, ..TransformerConfig::default() }
}

/// TARFlow's and STARFlow's block, and the volume-preserving one.
fn blocks() -> [TarBlockConfig; 3] {
    let tarflow = TarBlockConfig { transformer: small(), ..TarBlockConfig::default() };
    let unit = TarBlockConfig { scale: TokenScale::Unit, ..tarflow.clone() };
    [tarflow, TarBlockConfig::starflow(small()), unit]
}

const ORDERS: [[i64; 4]; 3] = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]];

fn block(
    scope: &Scope<'_>,
    order: &[i64],
    context: Option<i64>,
    config: &TarBlockConfig,
) -> TarBlock {
    TarBlock::new(scope, TarBlockShape { channels: 3, order, context }, config).unwrap()
}

fn jitter(params: &Params, std: f64) {
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let noise = normal(i as u64, &tensor.size()) * std;
        let _ = tensor.f_add_(&noise.to_kind(tensor.kind())).unwrap();
    }
}

/// A block with parameters that are not its initial ones.
fn moved(order: &[i64], context: Option<i64>, config: &TarBlockConfig) -> TarBlock {
    let params = Params::new(7, Kind::Double, Device::Cpu);
    let block = block(&params.root(), order, context, config);
    jitter(&params, 0.3);
    block
}

#[test]
fn blocks_and_stacks_are_bijections() {
    let [tarflow, starflow, unit] = blocks();
    let chunked = Inversion::Jacobi { chunk: 3, tolerance: 0.0 };
    let jacobi = TarBlockConfig { inversion: chunked, ..starflow.clone() };
    for (name, order, context, config) in [
        ("TARFlow block", ORDERS[0], None, &tarflow),
        ("TARFlow block, reversed, context", ORDERS[1], Some(2), &tarflow),
        ("STARFlow block", ORDERS[2], None, &starflow),
        ("STARFlow block, Jacobi, context", ORDERS[1], Some(2), &jacobi),
        ("volume-preserving block", ORDERS[2], None, &unit),
    ] {
        check_bijection(
            &Subject::new(name, &|s| Ok(Box::new(block(s, &order, context, config))))
                .within(1e-9, 1e-3)
                .jittered(0.2),
        );
    }
    for (name, config) in [
        ("TarStack", TarflowConfig::uniform(3, 1, tarflow.clone())),
        ("TarStack, deep-shallow", TarflowConfig::deep_shallow(2, 3, starflow)),
    ] {
        check_bijection(
            &Subject::new(name, &|s| Ok(Box::new(TarStack::new(s, [4, 2], Some(2), &config)?)))
                .within(1e-8, 1e-3)
                .jittered(0.1),
        );
    }
    check_bijection(
        &Subject::new("TarStack on images", &|s| {
            let (flat, image) = (Reshape::new(&[32], &[2, 4, 4])?, Patchify::new([2, 4, 4], 2)?);
            let config = TarflowConfig::uniform(2, 1, tarflow.clone());
            let stack = TarStack::new(s, image.tokens(), None, &config)?;
            Ok(Box::new(Compose::new(vec![Box::new(flat), Box::new(image), Box::new(stack)])?))
        })
        .within(1e-8, 1e-3)
        .jittered(0.1),
    );
}

#[test]
fn the_jacobian_is_triangular_in_the_order_of_the_block() {
    for config in blocks() {
        for order in ORDERS {
            let block = moved(&order, None, &config);
            let x = normal(3, &[2, 4, 3]);
            let exact = jacobian(&|x| Ok(block.forward(x, None)?.value), &x, Graph::Free).unwrap();
            let exact = exact.reshape([2, 4, 3, 4, 3]);
            for (i, &token) in order.iter().enumerate() {
                for (j, &other) in order.iter().enumerate() {
                    let part = exact.select(1, token).select(2, other);
                    let largest = part.abs().max().double_value(&[]);
                    let diagonal = part.diagonal(0, 1, 2).diag_embed(0, 1, 2);
                    if j > i {
                        assert_eq!(largest, 0.0, "{order:?}: token {token} sees {other}");
                    } else if j == i {
                        assert_eq!(distance(&part, &diagonal), 0.0, "{token} sees itself");
                    } else {
                        assert!(largest > 1e-9, "{order:?}: token {token} misses {other}");
                    }
                }
            }
        }
    }
}

#[test]
fn blocks_start_as_the_identity() {
    for config in blocks() {
        let params = Params::new(7, Kind::Double, Device::Cpu);
        let block = block(&params.root(), &ORDERS[2], Some(2), &config);
        let (x, context) = (normal(1, &[5, 4, 3]), normal(2, &[5, 2]));
        let there = block.forward(&x, Some(&context)).unwrap();
        assert!(distance(&there.value, &x) < 1e-14);
        assert!(there.log_det.abs().max().double_value(&[]) < 1e-14);
    }
}

#[test]
fn the_first_token_is_kept_only_where_outputs_are_shifted() {
    let [tarflow, starflow, _] = blocks();
    let x = normal(1, &[5, 4, 3]);
    for (config, kept) in [(tarflow, true), (starflow, false)] {
        let there = moved(&ORDERS[2], None, &config).forward(&x, None).unwrap().value;
        let off = distance(&there.select(1, 2), &x.select(1, 2));
        assert_eq!(off == 0.0, kept);
        assert_eq!(config.start == Start::Shift, kept);
    }
}

#[test]
fn all_inverses_agree() {
    for config in blocks() {
        for order in ORDERS {
            for context in [None, Some(2)] {
                let block = moved(&order, context, &config);
                let z = normal(4, &[3, 4, 3]);
                let given = context.map(|size| normal(5, &[3, size]));
                let given = given.as_ref();
                let _guard = tch::no_grad_guard();
                let one = block.unmap_sequential(&z, given).unwrap();
                for other in [
                    block.unmap_recomputed(&z, given),
                    block.unmap_jacobi(&z, given, 4, 0.0),
                    block.unmap_jacobi(&z, given, 3, 0.0),
                    block.unmap_jacobi(&z, given, 9, 1e-13),
                ] {
                    let other = other.unwrap();
                    assert!(distance(&one.value, &other.value) < 1e-11);
                    assert!(distance(&one.log_det, &other.log_det) < 1e-11);
                }
            }
        }
    }
}

#[test]
fn jacobi_stops_early_where_tokens_hardly_depend_on_each_other() {
    let config = &blocks()[0];
    let params = Params::new(7, Kind::Double, Device::Cpu);
    let block = block(&params.root(), &ORDERS[0], None, config);
    jitter(&params, 0.01);
    let z = normal(4, &[3, 4, 3]);
    let exact = block.unmap_sequential(&z, None).unwrap().value;
    let rough = block.unmap_jacobi(&z, None, 4, 0.1).unwrap().value;
    let off = distance(&exact, &rough);
    assert!(off > 0.0 && off < 0.01, "{off}");
}

#[test]
fn permuting_tokens_and_order_together_changes_nothing() {
    for config in blocks() {
        let order = ORDERS[2];
        // Token j of the second labelling is token relabel[j] of the first.
        let relabel = [1_i64, 3, 0, 2];
        let other: Vec<i64> = order
            .iter()
            .map(|&token| relabel.iter().position(|&t| t == token).unwrap() as i64)
            .collect();
        let make = |order: &[i64]| {
            let params = Params::new(7, Kind::Double, Device::Cpu);
            let block = block(&params.root(), order, None, &config);
            jitter(&params, 0.3);
            (params, block)
        };
        let (first_params, first) = make(&order);
        let (second_params, second) = make(&other);
        let index = Tensor::from_slice(&relabel);
        let mut values = first_params.named();
        let mut learned = false;
        for (name, value) in &mut values {
            if name == "positions" {
                *value = value.index_select(0, &index);
                learned = true;
            }
        }
        // Rotary positions belong to the labels, and cannot be moved along.
        if !learned {
            continue;
        }
        second_params.load(&values).unwrap();
        let x = normal(3, &[2, 4, 3]);
        let one = first.forward(&x, None).unwrap();
        let two = second.forward(&x.index_select(1, &index), None).unwrap();
        assert!(distance(&one.log_det, &two.log_det) < 1e-12);
        assert!(distance(&one.value.index_select(1, &index), &two.value) < 1e-12);
    }
}

fn gaussian(seed: u64) -> TokenGaussian {
    TokenGaussian { mean: normal(seed, &[5, 1, 3]), log_std: normal(seed + 1, &[5, 1, 3]) * 0.5 }
}

fn log_normal(x: &Tensor, g: &TokenGaussian) -> Tensor {
    ((x - &g.mean) * (-&g.log_std).exp()).square() * -0.5 - &g.log_std
}

#[test]
fn guidance_is_what_its_formulas_say() {
    let (given, other) = (gaussian(1), gaussian(3));
    let both = [GuidanceRule::Extrapolate, GuidanceRule::Product];
    for rule in both {
        let none = Guidance { rule, weight: 0.0, ramp: false };
        let same = none.combine(&given, &other, 1, 4).unwrap();
        assert!(distance(&same.mean, &given.mean) < 1e-14);
        assert!(distance(&same.log_std, &given.log_std) < 1e-14);
        // Equal scales: the mean moves away from the reference's, the scale stays.
        let equal = TokenGaussian {
            mean: other.mean.shallow_clone(),
            log_std: given.log_std.shallow_clone(),
        };
        let guided = Guidance { rule, weight: 1.7, ramp: false };
        let moved = guided.combine(&given, &equal, 1, 4).unwrap();
        let expected = &given.mean + (&given.mean - &other.mean) * 1.7;
        assert!(distance(&moved.mean, &expected) < 1e-12);
        assert!(distance(&moved.log_std, &given.log_std) < 1e-12);
        // A ramp is zero at the first token, and whole at the last.
        let ramp = Guidance { ramp: true, ..guided };
        let first = ramp.combine(&given, &other, 0, 4).unwrap();
        assert!(distance(&first.mean, &given.mean) < 1e-14);
        let last = ramp.combine(&given, &other, 3, 4).unwrap();
        assert!(distance(&last.mean, &guided.combine(&given, &other, 0, 4).unwrap().mean) < 1e-14);
    }
    // Where the given scale is the smaller one, the product of normals is exact.
    let wide = TokenGaussian {
        mean: other.mean.shallow_clone(),
        log_std: &given.log_std + other.log_std.abs(),
    };
    let w = 2.5;
    let product = Guidance { rule: GuidanceRule::Product, weight: w, ramp: false };
    let guided = product.combine(&given, &wide, 0, 4).unwrap();
    let gap = |x: &Tensor| {
        log_normal(x, &given) * (1.0 + w) - log_normal(x, &wide) * w - log_normal(x, &guided)
    };
    let (a, b) = (normal(8, &[5, 1, 3]), normal(9, &[5, 1, 3]) * 3.0);
    assert!(distance(&gap(&a), &gap(&b)) < 1e-10);
}

#[test]
fn guided_sampling_of_strength_zero_is_sampling() {
    let [tarflow, starflow, _] = blocks();
    for config in
        [TarflowConfig::uniform(2, 1, tarflow), TarflowConfig::deep_shallow(1, 2, starflow)]
    {
        let params = Params::new(7, Kind::Double, Device::Cpu);
        let stack = TarStack::new(&params.root(), [4, 3], Some(3), &config).unwrap();
        jitter(&params, 0.2);
        let z = normal(1, &[5, 4, 3]);
        let context =
            Tensor::eye(3, DOUBLE_CPU).index_select(0, &Tensor::from_slice(&[0_i64, 1, 2, 1, 0]));
        let plain = stack.inverse(&z, Some(&context)).unwrap().value;
        let mean = LabelDropout::unconditional(&context).unwrap();
        for reference in [Reference::Context(mean), Reference::Attention { temperature: 1.5 }] {
            let at = |weight| {
                let guidance = Guidance { rule: GuidanceRule::Product, weight, ramp: false };
                stack.inverse_guided(&z, Some(&context), &guidance, &reference).unwrap()
            };
            assert!(distance(&at(0.0), &plain) < 1e-12);
            assert!(distance(&at(1.0), &plain) > 1e-4);
        }
        // The penalty on inner outputs is their mean square.
        let inner = stack.inner_energy(&z, Some(&context)).unwrap().double_value(&[]);
        let mut value = z.shallow_clone();
        let mut expected = 0.0;
        for block in &stack.blocks()[..stack.blocks().len() - 1] {
            let given = block.context_shape().map(|_| &context);
            value = block.forward(&value, given).unwrap().value;
            expected += value.square().mean(Kind::Double).double_value(&[]);
        }
        assert!((inner - expected).abs() < 1e-12);
    }
}

#[test]
fn the_dropped_label_is_the_mean_class() {
    let dropout = LabelDropout::new(0.5).unwrap();
    let context = Tensor::eye(4, DOUBLE_CPU);
    let uniform = Tensor::from_slice(&[0.1, 0.9, 0.49, 0.5]);
    let dropped = dropout.apply_at(&context, &uniform).unwrap();
    for (row, is_mean) in [(0, true), (1, false), (2, true), (3, false)] {
        let expected = if is_mean { Tensor::full([4], 0.25, DOUBLE_CPU) } else { context.get(row) };
        assert_eq!(distance(&dropped.get(row), &expected), 0.0);
    }
    assert!(LabelDropout::new(1.5).is_err());
}

#[test]
fn denoising_a_normal_is_its_posterior_mean() {
    let params = Params::new(1, Kind::Double, Device::Cpu);
    let (sigma, prior) = (0.4_f64, 0.7_f64);
    let noisy = (prior.powi(2) + sigma.powi(2)).sqrt();
    let model = DiagonalNormal::trained(&params.root(), &[3]).unwrap();
    let value = |name: &str, level: f64| (name.to_owned(), Tensor::full([3], level, DOUBLE_CPU));
    params.load(&[value("log_std", noisy.ln()), value("mean", 1.5)]).unwrap();
    let noise = GaussianNoise::new(sigma).unwrap();
    let y = noise.corrupt_at(&normal(1, &[6, 3]), &normal(2, &[6, 3])).unwrap();
    assert!(distance(&y, &(normal(1, &[6, 3]) + normal(2, &[6, 3]) * sigma)) < 1e-15);
    // Also where the caller records nothing.
    let _guard = tch::no_grad_guard();
    let found = noise.denoise(&model as &dyn Density, &y, None).unwrap();
    let exact = (&y - 1.5) * (prior / noisy).powi(2) + 1.5;
    assert!(distance(&found, &exact) < 1e-12);
    assert!(!found.requires_grad());
    assert!(GaussianNoise::new(-1.0).is_err());
}

#[test]
fn patches_are_squares_of_pixels() {
    let image = Tensor::arange(16, DOUBLE_CPU).reshape([1, 1, 4, 4]);
    let layer = Patchify::new([1, 4, 4], 2).unwrap();
    let tokens = layer.forward(&image, None).unwrap().value;
    let first = Tensor::from_slice(&[0.0, 1.0, 4.0, 5.0]);
    let last = Tensor::from_slice(&[10.0, 11.0, 14.0, 15.0]);
    assert_eq!(distance(&tokens.get(0).get(0), &first), 0.0);
    assert_eq!(distance(&tokens.get(0).get(3), &last), 0.0);
    check_bijection(&Subject::new("Patchify", &|_| Ok(Box::new(Patchify::new([3, 4, 2], 2)?))));
    check_bijection(&Subject::new("Reshape", &|_| Ok(Box::new(Reshape::new(&[6], &[1, 2, 3])?))));
    let message = Patchify::new([1, 4, 6], 4).unwrap_err().to_string();
    assert_eq!(message, "patch: expected a side that divides 4×6, got 4");
}

#[test]
fn a_cache_makes_sampling_faster() {
    let params = Params::new(7, Kind::Float, Device::Cpu);
    let transformer = TransformerConfig { width: 32, heads: 2, ..TransformerConfig::default() };
    let config = TarBlockConfig { transformer, ..TarBlockConfig::default() };
    let order: Vec<i64> = (0..96).collect();
    let at = TarBlockShape { channels: 2, order: &order, context: None };
    let block = TarBlock::new(&params.root(), at, &config).unwrap();
    let z = normal(1, &[8, 96, 2]).to_kind(Kind::Float);
    let _guard = tch::no_grad_guard();
    let time = |run: &dyn Fn() -> Tensor| {
        let start = Instant::now();
        let value = run();
        (start.elapsed(), value)
    };
    // The quickest of three: other processes may share the cores.
    let best = |run: &dyn Fn() -> Tensor| (0..3).map(|_| time(run)).min_by_key(|t| t.0).unwrap();
    let (cached, one) = best(&|| block.unmap_sequential(&z, None).unwrap().value);
    let (again, two) = best(&|| block.unmap_recomputed(&z, None).unwrap().value);
    assert!(distance(&one, &two) < 1e-5);
    assert!(cached < again, "with a cache {cached:?}, without {again:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let params = Params::new(7, Kind::Double, Device::Cpu);
    let config = &blocks()[0];
    let message = |order: &[i64], config: &TarBlockConfig| {
        let at = TarBlockShape { channels: 3, order, context: None };
        TarBlock::new(&params.root(), at, config).unwrap_err().to_string()
    };
    assert_eq!(
        message(&[0, 2, 2], config),
        "order: expected a permutation of the tokens, got [0, 2, 2]"
    );
    let clip = TarBlockConfig { clip: Some(0.0), ..config.clone() };
    assert_eq!(message(&[0, 1], &clip), "clip: expected a positive number, got 0");
    let empty = TarflowConfig { layers: vec![], ..TarflowConfig::default() };
    let error = TarStack::new(&params.root(), [4, 3], None, &empty).unwrap_err().to_string();
    assert_eq!(error, "layers: expected at least one block");
    assert!(toml::from_str::<TarflowConfig>("layers = [2]\ndepth = 3").is_err());
    let read: TarflowConfig = toml::from_str(
        "layers = [2, 4]\nconditioned = \"last\"\n[block]\nstart = \"sos\"\ninversion = { kind = \"jacobi\", chunk = 4, tolerance = 1e-4 }",
    )
    .unwrap();
    assert_eq!(read.layers, [2, 4]);
}
