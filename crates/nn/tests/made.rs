use maxlik_nn::{
    Activation, MaskedMlp, MaskedNetwork, MaskedResidualNet, MaskedShape, MlpConfig, Params,
    ResidualConfig,
};
use maxlik_tensor::autograd::{Graph, jacobian};
use maxlik_tensor::with_seed;
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn normal(seed: u64, shape: &[i64]) -> Tensor {
    with_seed(seed, || Tensor::randn(shape, DOUBLE_CPU))
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a - b).abs().max().double_value(&[])
}

/// An order, a context size and a number of parameters.
fn shapes() -> impl Strategy<Value = MaskedShape> {
    (1_i64..7, 0_i64..3, 1_i64..4).prop_flat_map(|(dims, context, parameters)| {
        Just((0..dims).collect::<Vec<_>>()).prop_shuffle().prop_map(move |ranks| MaskedShape {
            ranks,
            context,
            parameters,
        })
    })
}

fn networks(shape: &MaskedShape, hidden: i64, depth: usize) -> Vec<Box<dyn MaskedNetwork>> {
    let params = Params::new(5, Kind::Double, Device::Cpu);
    let mlp = MlpConfig { hidden: vec![hidden; depth], activation: Activation::Tanh, dropout: 0.0 };
    let residual =
        ResidualConfig { hidden, blocks: depth, activation: Activation::Silu, dropout: 0.0 };
    let networks: Vec<Box<dyn MaskedNetwork>> = vec![
        Box::new(MaskedMlp::new(&params.root().sub("mlp"), shape, &mlp).unwrap()),
        Box::new(MaskedResidualNet::new(&params.root().sub("res"), shape, &residual).unwrap()),
    ];
    // Residual blocks start so near the identity that a wrong mask inside them would not show.
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(40 + i as u64, &tensor.size()) * 0.4)).unwrap();
    }
    networks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parameters_depend_on_earlier_coordinates_alone(
        shape in shapes(), hidden in 1_i64..20, depth in 0_usize..3
    ) {
        let x = normal(1, &[2, shape.dims()]);
        let c = (shape.context > 0).then(|| normal(2, &[2, shape.context]));
        for net in networks(&shape, hidden, depth) {
            let dense = jacobian(&|x| net.forward(x, c.as_ref()), &x, Graph::Free).unwrap();
            for (i, &of) in shape.ranks.iter().enumerate() {
                for (j, &by) in shape.ranks.iter().enumerate() {
                    let block = dense.narrow(1, i as i64 * shape.parameters, shape.parameters);
                    let size = block.select(2, j as i64).abs().max().double_value(&[]);
                    prop_assert!(by < of || size == 0.0, "{i} depends on {j}");
                    // Wide enough layers have a unit of each degree: all earlier coordinates count.
                    let wide = hidden >= shape.dims();
                    prop_assert!(!wide || by >= of || size > 0.0, "{i} does not depend on {j}");
                }
            }
        }
    }

    #[test]
    fn steps_give_what_one_pass_gives(shape in shapes(), hidden in 1_i64..20, depth in 0_usize..3) {
        let x = normal(1, &[5, shape.dims()]);
        let c = (shape.context > 0).then(|| normal(2, &[5, shape.context]));
        for net in networks(&shape, hidden, depth) {
            let whole = net.forward(&x, c.as_ref()).unwrap().view([5, shape.dims(), shape.parameters]);
            let mut steps = net.begin(5, c.as_ref()).unwrap();
            let mut previous = None;
            for coordinate in shape.order().unwrap() {
                let new = steps.next(previous.as_ref()).unwrap();
                prop_assert!(distance(&new, &whole.select(1, coordinate)) < 1e-12);
                previous = Some(x.select(1, coordinate));
            }
        }
    }
}

#[test]
fn degrees_are_spread_and_sorted() {
    let shape =
        |dims: i64, context| MaskedShape { ranks: (0..dims).collect(), context, parameters: 1 };
    assert_eq!(shape(4, 0).hidden_degrees(7), [1, 1, 1, 2, 2, 3, 3]);
    assert_eq!(shape(4, 2).hidden_degrees(5), [0, 0, 1, 2, 3]);
    assert_eq!(shape(7, 0).hidden_degrees(3), [2, 4, 6]);
    assert_eq!(shape(1, 0).hidden_degrees(2), [0, 0]);
    let message = MaskedShape { ranks: vec![0, 2, 2], context: 0, parameters: 1 }.order();
    assert_eq!(
        message.unwrap_err().to_string(),
        "order: expected each of 0 to 2 once, got [0, 2, 2]"
    );
}

#[test]
fn an_orders_first_coordinate_depends_on_the_context() {
    let shape = MaskedShape { ranks: vec![1, 0, 2], context: 2, parameters: 2 };
    let x = normal(1, &[3, 3]);
    for net in networks(&shape, 9, 2) {
        let dense =
            jacobian(&|c| net.forward(&x, Some(c)), &normal(2, &[3, 2]), Graph::Free).unwrap();
        assert!(dense.abs().amin([0_i64, 2].as_slice(), false).min().double_value(&[]) > 0.0);
    }
}
