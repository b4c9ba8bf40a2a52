use maxlik_flows::base::{DiagonalNormal, UniformBox};
use maxlik_model::{Batch, Density, Objective};
use maxlik_nn::Params;
use maxlik_objectives::density::{Dequantized, MaximumLikelihood, bits_per_dim};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_testkit::{Support, distance, normal};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn store() -> Params {
    Params::new(3, Kind::Double, Device::Cpu)
}

fn value(
    objective: &dyn Objective<dyn Density>,
    model: &(dyn Density + 'static),
    batch: &Batch,
) -> f64 {
    objective.loss(model, batch).unwrap().value.double_value(&[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn weights_are_repetitions(seed in 0_u64..1 << 40, counts in prop::collection::vec(1_i64..5, 6)) {
        let params = store();
        let model = DiagonalNormal::trained(&params.root(), &[3]).unwrap();
        let x = normal(seed, &[6, 3]);
        let repeats = Tensor::from_slice(&counts);
        let repeated = x.repeat_interleave_self_tensor(&repeats, 0, None);
        let plain = value(&MaximumLikelihood, &model, &Batch::new(repeated));
        let weight = Some(repeats.to_kind(Kind::Double));
        let weighted = value(&MaximumLikelihood, &model, &Batch { data: x, context: None, weight });
        prop_assert!((plain - weighted).abs() < 1e-12);
    }

    /// At the closed-form estimate (mean and standard deviation of the batch) the gradient vanishes.
    #[test]
    fn the_closed_form_is_stationary(seed in 0_u64..1 << 40) {
        let x = normal(seed, &[40, 3]) * 2.0 + 1.0;
        let params = store();
        let model = DiagonalNormal::trained(&params.root(), &[3]).unwrap();
        let axis = [0_i64];
        params.load(&[
            ("log_std".to_owned(), x.std_dim(axis.as_slice(), false, false).log()),
            ("mean".to_owned(), x.mean_dim(axis.as_slice(), false, None)),
        ]).unwrap();
        let loss = MaximumLikelihood.loss(&model as &dyn Density, &Batch::new(x)).unwrap().value;
        let named = params.trainable();
        let leaves: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
        for gradient in grad(&[&loss], &[None], &leaves, Graph::Free).unwrap().into_iter().flatten() {
            prop_assert!(gradient.abs().max().double_value(&[]) < 1e-12);
        }
    }

    /// A uniform density gives every level the same mass, exactly, whatever the noise.
    #[test]
    fn uniform_dequantization_is_exact_for_the_uniform(seed in 0_u64..1 << 40, levels in 2_u32..300) {
        let params = store();
        let model = UniformBox::new(&params.root(), &[4], 0.0, 1.0).unwrap();
        let v = (Support::Interval(0.0, f64::from(levels)).draw(seed, 5, &[4])).floor();
        let objective = Dequantized::new(MaximumLikelihood, levels).unwrap();
        let nats = value(&objective, &model, &Batch::new(v));
        prop_assert!((nats - 4.0 * f64::from(levels).ln()).abs() < 1e-9);
        prop_assert!((bits_per_dim(nats, 4) - f64::from(levels).log2()).abs() < 1e-9);
    }
}

/// The dequantized loss bounds the discrete one, whose exact value comes from the normal's CDF.
#[test]
fn dequantization_is_a_bound() {
    let params = store();
    let model = DiagonalNormal::trained(&params.root(), &[1]).unwrap();
    let parameter = |v: f64| Tensor::from_slice(&[v]);
    params
        .load(&[
            ("log_std".to_owned(), parameter(0.2_f64.ln())),
            ("mean".to_owned(), parameter(0.4)),
        ])
        .unwrap();
    let levels = 8;
    let objective = Dequantized::new(MaximumLikelihood, levels).unwrap();
    for v in 0..levels {
        let (low, high) = (f64::from(v) / f64::from(levels), f64::from(v + 1) / f64::from(levels));
        let cdf =
            |x: f64| 0.5 * parameter(-(x - 0.4) / 0.2 / 2.0_f64.sqrt()).erfc().double_value(&[0]);
        let exact = -(cdf(high) - cdf(low)).ln();
        let batch = Batch::new(Tensor::full([4000, 1], f64::from(v), DOUBLE_CPU));
        let noise = (Tensor::arange(4000, DOUBLE_CPU).reshape([4000, 1]) + 0.5) / 4000.0;
        let bound = objective
            .loss_at(&model as &dyn Density, &batch, &noise)
            .unwrap()
            .value
            .double_value(&[]);
        assert!(bound >= exact - 1e-9, "{v}: {bound} < {exact}");
        assert!(bound - exact < 0.5, "{v}: {bound} is far from {exact}");
    }
}

#[test]
fn wrong_batches_are_refused() {
    let params = store();
    let model = DiagonalNormal::trained(&params.root(), &[3]).unwrap();
    let fails = |batch: Batch| {
        MaximumLikelihood.loss(&model as &dyn Density, &batch).unwrap_err().to_string()
    };
    let zeros = |shape: &[i64]| Tensor::zeros(shape, DOUBLE_CPU);
    assert!(fails(Batch::new(zeros(&[0, 3]))).contains("at least one row"));
    assert_eq!(fails(Batch::new(zeros(&[2, 4]))), "x: expected shape [B, 3], got [2, 4]");
    let batch = Batch { data: zeros(&[2, 3]), context: None, weight: Some(zeros(&[3])) };
    assert_eq!(fails(batch), "weight: expected shape [2], got [3]");
    assert!(Dequantized::new(MaximumLikelihood, 1).is_err());
    assert_eq!(distance(&zeros(&[2]), &zeros(&[2])), 0.0);
}
