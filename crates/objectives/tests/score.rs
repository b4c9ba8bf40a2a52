use maxlik_flows::{Flow, FlowConfig, NetworkConfig, SplineConfig, base::DiagonalNormal};
use maxlik_model::{Batch, Energy, Objective, Score};
use maxlik_nn::{MlpConfig, Params};
use maxlik_objectives::score::{
    DenoisingScoreMatching, ExplicitScoreMatching, FiniteDifferenceScoreMatching, ScoreOf,
    SlicedScoreMatching, Slices,
};
use maxlik_tensor::autograd::{Graph, grad, jacobian};
use maxlik_testkit::{distance, normal};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

fn flow(params: &Params, dims: i64) -> ScoreOf<Flow> {
    let network = NetworkConfig::Mlp(MlpConfig {
        hidden: vec![8],
        activation: maxlik_nn::Activation::Tanh,
        dropout: 0.0,
    });
    let spline = SplineConfig { bins: 4, low: -4.0, high: 4.0, bounded: false };
    let mut config = FlowConfig::realnvp(2, &network);
    config.layers.extend(FlowConfig::spline_coupling(1, &network, spline).layers);
    let flow = config.build(&params.root(), dims, None, Vec::new()).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        let _ = tensor.f_add_(&(normal(i as u64, &tensor.size()) * 0.2)).unwrap();
    }
    ScoreOf(flow)
}

fn store() -> Params {
    Params::new(3, Kind::Double, Device::Cpu)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Averaged over all 2^D sign vectors the sliced loss is the explicit one, and that one is the
    /// formula with a Jacobian.
    #[test]
    fn slices_average_to_the_trace(seed in 0_u64..1 << 40) {
        let params = store();
        let model = flow(&params, 3);
        let x = normal(seed, &[4, 3]);
        let explicit = ExplicitScoreMatching::each(&model, &x, None).unwrap().detach();
        let score = model.score(&x, None).unwrap().detach();
        let slopes = jacobian(&|x| model.score(x, None), &x, Graph::Free).unwrap();
        let trace = slopes.diagonal(0, -2, -1).sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>);
        let square = score.square().sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>) * 0.5;
        prop_assert!(distance(&explicit, &(square + trace)) < 1e-9);
        for plain in [false, true] {
            let sliced = SlicedScoreMatching { slices: Slices::Rademacher, plain };
            let mut sum = explicit.zeros_like();
            for signs in 0..8 {
                let v: Vec<f64> = (0..3).map(|i| if signs >> i & 1 == 1 { 1.0 } else { -1.0 }).collect();
                let v = Tensor::from_slice(&v).expand([4, 3], false);
                sum += sliced.each(&model, &x, None, &v).unwrap().detach();
            }
            prop_assert!(distance(&(sum / 8.0), &explicit) < 1e-9);
        }
    }

    /// On an orthogonal frame the finite differences tend to the explicit loss as the square of the
    /// radius.
    #[test]
    fn finite_differences_converge(seed in 0_u64..1 << 40) {
        let params = store();
        let model = flow(&params, 3);
        let x = normal(seed, &[4, 3]);
        let exact = ExplicitScoreMatching::each(&model, &x, None).unwrap().detach();
        let error = |radius: f64| {
            let objective = FiniteDifferenceScoreMatching::new(radius).unwrap();
            let frame = Tensor::eye(3, tch::kind::DOUBLE_CPU);
            let sum = (0..3).fold(exact.zeros_like(), |sum, i| {
                sum + objective.each(&model, &x, None, &frame.get(i).expand([4, 3], false)).unwrap().detach()
            });
            distance(&(sum / 3.0), &exact)
        };
        prop_assert!(error(1e-3) < 1e-3 * (1.0 + exact.abs().max().double_value(&[])), "{}", error(1e-3));
    }
}

/// For a normal model and its own samples' moments: the explicit loss is least at the data's
/// precision, the denoising loss at that of the smoothed data.
#[test]
fn minimisers_in_closed_form() {
    let x = normal(5, &[4000, 1]) * 1.5;
    let variance = x.square().mean(Kind::Double).double_value(&[]);
    let model = |log_std: f64| {
        let params = store();
        let density = DiagonalNormal::trained(&params.root(), &[1]).unwrap();
        params
            .load(&[
                ("log_std".to_owned(), Tensor::from_slice(&[log_std])),
                ("mean".to_owned(), Tensor::from_slice(&[0.0])),
            ])
            .unwrap();
        (ScoreOf(density), params)
    };
    let (best, params) = model(0.5 * variance.ln());
    let loss = ExplicitScoreMatching::each(&best, &x, None).unwrap().mean(Kind::Double);
    let named = params.trainable();
    let slope = grad(&[&loss], &[None], &[&named[0].1], Graph::Free).unwrap().remove(0).unwrap();
    assert!(slope.abs().max().double_value(&[]) < 1e-10);

    // Antithetic noise of unit variance makes the smoothed variance exact.
    let noise = normal(6, &[2000, 1]);
    let noise = Tensor::cat(&[&noise, &-&noise], 0);
    let noise = &noise / noise.square().mean(Kind::Double).sqrt();
    let half = x.narrow(0, 0, 2000);
    let doubled = Tensor::cat(&[&half, &half], 0);
    let sigma = 0.7;
    let smoothed = (doubled.square().mean(Kind::Double) + sigma * sigma).double_value(&[]);
    let (best, params) = model(0.5 * smoothed.ln());
    let objective = DenoisingScoreMatching::new(sigma).unwrap();
    let sigmas = Tensor::full([4000], sigma, tch::kind::DOUBLE_CPU);
    let loss = objective.each(&best, &doubled, None, &noise, &sigmas).unwrap().mean(Kind::Double);
    let named = params.trainable();
    let slope = grad(&[&loss], &[None], &[&named[0].1], Graph::Free).unwrap().remove(0).unwrap();
    assert!(slope.abs().max().double_value(&[]) < 1e-10, "{slope:?}");
}

#[test]
fn energies_and_losses_of_a_density() {
    let params = store();
    let model = flow(&params, 2);
    let x = normal(9, &[3, 2]);
    let energy = model.energy(&x, None).unwrap();
    let sum = energy + maxlik_model::Density::log_prob(&model.0, &x, None).unwrap();
    assert!(
        distance(&sum, &sum.get(0).expand([3], false)) < 1e-12,
        "ln p + E depends on x: {sum:?}"
    );
    let batch = Batch::new(x);
    let finite = |loss: maxlik_tensor::Result<maxlik_model::Loss>| {
        let value = loss.unwrap().value;
        assert!(value.dim() == 0 && value.requires_grad() && value.double_value(&[]).is_finite());
    };
    finite(ExplicitScoreMatching.loss(&model as &dyn Score, &batch));
    finite(
        SlicedScoreMatching { slices: Slices::Gaussian, plain: false }
            .loss(&model as &dyn Score, &batch),
    );
    finite(SlicedScoreMatching::default().loss(&model as &dyn Score, &batch));
    finite(DenoisingScoreMatching::new(0.1).unwrap().loss(&model as &dyn Score, &batch));
    finite(FiniteDifferenceScoreMatching::new(0.1).unwrap().loss(&model as &dyn Energy, &batch));
    assert!(DenoisingScoreMatching::with_levels(vec![]).is_err());
    assert!(DenoisingScoreMatching::new(0.0).is_err());
    assert!(FiniteDifferenceScoreMatching::new(-1.0).is_err());
}
