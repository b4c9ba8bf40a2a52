use super::{distance, normal};
use maxlik_tensor::affine::{Affine, Scale};
use maxlik_tensor::masked::{Layer, Map, Masked, Nonlinearity, usable};
use maxlik_tensor::spline::{Elementwise, RationalQuadratic};
use proptest::prelude::*;
use tch::{Kind, Tensor};

const MAPS: [Map; 4] = [
    Map::Affine(Affine { scale: Scale::SoftClip { slope: 1e-3 } }),
    Map::Affine(Affine { scale: Scale::Sigmoid { floor: 1e-3 } }),
    Map::Affine(Affine { scale: Scale::Softplus { floor: 1e-3 } }),
    Map::Affine(Affine { scale: Scale::Exp }),
];

fn maps() -> impl Strategy<Value = Map> {
    let spline = (1_usize..7).prop_map(|bins| Map::Spline(RationalQuadratic::new(bins, 2.0)));
    prop_oneof![(0_usize..4).prop_map(|i| MAPS[i]), spline]
}

fn parameters(map: &Map) -> i64 {
    match map {
        Map::Affine(_) => 2,
        Map::Spline(spec) => spec.parameters() as i64,
    }
}

/// Random layers with `widths[i][r]` units for rank `r`.
fn network(counts: &[Vec<usize>], dims: i64, context: i64, map: &Map, kind: Kind) -> Masked {
    let mut inputs = context + dims;
    let mut layers = Vec::new();
    for i in 0..=counts.len() {
        let outputs =
            counts.get(i).map_or(dims * parameters(map), |c| c.iter().sum::<usize>() as i64);
        let scale = 1.0 / (inputs.max(1) as f64).sqrt();
        let weight = (normal(20 + i as u64, &[outputs, inputs]) * scale).to_kind(kind);
        let bias = normal(40 + i as u64, &[outputs]).to_kind(kind) * 0.3;
        layers.push(Layer { weight, bias });
        inputs = outputs;
    }
    let nonlinearity =
        [Nonlinearity::Relu, Nonlinearity::LeakyRelu, Nonlinearity::Elu, Nonlinearity::Silu]
            [(dims as usize + counts.len()) % 4];
    Masked { layers, counts: counts.to_vec(), nonlinearity }
}

fn activate(net: &Masked, x: &Tensor) -> Tensor {
    match net.nonlinearity {
        Nonlinearity::Relu => x.relu(),
        Nonlinearity::LeakyRelu => x.leaky_relu(),
        Nonlinearity::Elu => x.elu(),
        Nonlinearity::Silu => x.silu(),
    }
}

/// The definition: rank after rank, from the units whose inputs are known.
fn reference(net: &Masked, map: &Map, z: &Tensor, context: Option<&Tensor>) -> Elementwise {
    let (batch, dims) = (z.size()[0], z.size()[1]);
    let width = context.map_or(0, |c| c.size()[1]);
    let mut x = Tensor::zeros([batch, 0], (Kind::Double, tch::Device::Cpu));
    let mut log_det = Tensor::zeros([batch], (Kind::Double, tch::Device::Cpu));
    for rank in 0..dims {
        let mut h = context.map_or_else(|| x.shallow_clone(), |c| Tensor::cat(&[c, &x], 1));
        assert_eq!(h.size()[1], width + rank);
        // A unit reads its own prefix: that of the rank that completes it.
        for (i, counts) in net.counts.iter().enumerate() {
            let mut columns = Vec::new();
            let mut unit = 0;
            for (r, &count) in counts.iter().enumerate().take(rank as usize + 1) {
                let extent = if i == 0 {
                    width + r as i64
                } else {
                    net.counts[i - 1][..=r].iter().sum::<usize>() as i64
                };
                for _ in 0..count {
                    let row = net.layers[i].weight.get(unit).narrow(0, 0, extent);
                    columns.push(h.narrow(1, 0, extent).mv(&row) + net.layers[i].bias.get(unit));
                    unit += 1;
                }
            }
            h = if columns.is_empty() {
                Tensor::zeros([batch, 0], (Kind::Double, tch::Device::Cpu))
            } else {
                activate(net, &Tensor::stack(&columns, 1))
            };
        }
        let last = net.layers.last().unwrap();
        let (p, extent) = (parameters(map), h.size()[1]);
        let weight = last.weight.narrow(0, rank * p, p).narrow(1, 0, extent);
        let params = h.matmul(&weight.transpose(0, 1)) + last.bias.narrow(0, rank * p, p);
        let (column, params) = (z.narrow(1, rank, 1), params.unsqueeze(1));
        let done = match map {
            Map::Affine(affine) => affine.inverse(&column, &params),
            Map::Spline(spec) => spec.inverse(&column, &params),
        }
        .unwrap();
        x = Tensor::cat(&[&x, &done.value], 1);
        log_det += done.log_det;
    }
    Elementwise { value: x, log_det }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_kernel_solves_what_its_definition_says(
        map in maps(), batch in prop_oneof![Just(0_i64), 1_i64..5, 60_i64..140],
        layers in (1_usize..6).prop_flat_map(|dims| prop::collection::vec(prop::collection::vec(0_usize..7, dims), 0..3)),
        context in 0_i64..3,
    ) {
        let dims = layers.first().map_or(3, Vec::len) as i64;
        let z = normal(1, &[batch, dims]);
        let c = (context > 0).then(|| normal(2, &[batch, context]));
        let net = network(&layers, dims, context, &map, Kind::Double);
        let ours = net.solve(&map, &z, c.as_ref()).unwrap();
        let plain = reference(&net, &map, &z, c.as_ref());
        prop_assert!(distance(&ours.value, &plain.value) < 1e-8);
        prop_assert!(distance(&ours.log_det, &plain.log_det) < 1e-8);
        let single = network(&layers, dims, context, &map, Kind::Float);
        let c = c.map(|c| c.to_kind(Kind::Float));
        let single = single.solve(&map, &z.to_kind(Kind::Float), c.as_ref()).unwrap();
        let size = if batch == 0 { 1.0 } else { plain.value.abs().max().double_value(&[]).max(1.0) };
        prop_assert!(distance(&single.value, &plain.value) < 5e-3 * size);
    }
}

#[test]
fn wrong_arguments_are_named() {
    let map = MAPS[0];
    let net = network(&[vec![1, 2, 2]], 3, 0, &map, Kind::Double);
    let message = |z: &Tensor, c: Option<&Tensor>| net.solve(&map, z, c).unwrap_err().to_string();
    let z = normal(1, &[4, 3]);
    assert_eq!(message(&z, Some(&z)), "weight: expected shape [5, 6], got [5, 3]");
    assert_eq!(
        message(&normal(1, &[4, 2]), None),
        "counts: expected shape 2 numbers for each hidden layer, got [[1, 2, 2]]"
    );
    assert!(message(&z.to_kind(Kind::Float), None).contains("expected dtype Float, got Double"));
    assert!(!usable(&z) && tch::no_grad(|| usable(&z)));
}
