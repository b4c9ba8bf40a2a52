//! Score matching of densities from its configuration.

use super::common::{gradient_of, store};
use maxlik_flows::{Flow, FlowConfig, NetworkConfig};
use maxlik_model::{Batch, Density, Energy, Objective, Score};
use maxlik_nn::MlpConfig;
use maxlik_objectives::score::{
    DenoisingScoreMatching, ExplicitScoreMatching, FiniteDifferenceScoreMatching, ScoreMatching,
    ScoreMatchingConfig, ScoreOf, SlicedScoreMatching, Slices,
};
use maxlik_tensor::with_seed;
use maxlik_testkit::{distance, normal};
use tch::{Device, Kind, Tensor};

fn build(text: &str) -> maxlik_tensor::Result<ScoreMatching> {
    toml::from_str::<ScoreMatchingConfig>(text).unwrap().build()
}

fn flow(params: &maxlik_nn::Params, context: Option<i64>) -> Flow {
    let network = NetworkConfig::Mlp(MlpConfig {
        hidden: vec![6],
        activation: maxlik_nn::Activation::Tanh,
        dropout: 0.0,
    });
    let config = FlowConfig::realnvp(2, &network);
    let flow = config.build(&params.root(), 3, context, Vec::new()).unwrap();
    super::common::jitter(params, 0.2);
    flow
}

/// Of a density each form is the objective of its score (or energy), value and gradient.
#[test]
fn of_a_density_it_is_the_objective_of_its_score() {
    let params = store();
    let model = ScoreOf(flow(&params, None));
    let batch = Batch::new(normal(1, &[6, 3]));
    let (score, energy) = (&model as &dyn Score, &model as &dyn Energy);
    let sliced = SlicedScoreMatching { slices: Slices::Gaussian, plain: true };
    let denoising = DenoisingScoreMatching::new(0.3).unwrap();
    let differences = FiniteDifferenceScoreMatching::new(0.2).unwrap();
    let cases: [(&str, &dyn Fn() -> Tensor); 4] = [
        ("variant = 'explicit'", &|| ExplicitScoreMatching.loss(score, &batch).unwrap().value),
        ("variant = 'sliced'\nslices = 'gaussian'\nplain = true", &|| {
            sliced.loss(score, &batch).unwrap().value
        }),
        ("variant = 'denoising'\nsigma = 0.3", &|| denoising.loss(score, &batch).unwrap().value),
        ("variant = 'finite_difference'\nradius = 0.2", &|| {
            differences.loss(energy, &batch).unwrap().value
        }),
    ];
    for (text, direct) in cases {
        let built = build(text).unwrap();
        let of_density =
            with_seed(5, || built.loss(&model.0 as &dyn Density, &batch).unwrap().value);
        let of_score = with_seed(5, direct);
        assert!(distance(&of_density, &of_score) < 1e-12, "{text}");
        let [a, b] = [of_density, of_score].map(|loss| gradient_of(&loss, &params));
        assert!(distance(&a, &b) < 1e-10 && b.abs().max().double_value(&[]) > 0.0, "{text}");
    }
}

/// With integer weights a row counts as often as it weighs; several levels are told to the density.
#[test]
fn weights_and_levels() {
    let params = store();
    let model = flow(&params, None);
    let x = normal(2, &[3, 3]);
    let weighted = Batch {
        data: x.shallow_clone(),
        context: None,
        weight: Some(Tensor::from_slice(&[1.0, 2.0, 0.0])),
    };
    let rows = x.index_select(0, &Tensor::from_slice(&[0_i64, 1, 1]));
    let explicit = build("variant = 'explicit'").unwrap();
    let loss = |batch: &Batch| explicit.loss(&model as &dyn Density, batch).unwrap().value;
    assert!(distance(&loss(&weighted), &loss(&Batch::new(rows))) < 1e-12);

    let levels = build("variant = 'noise_levels'\nlevels = [0.1, 1.0]").unwrap();
    let batch = Batch::new(x);
    assert!(levels.loss(&model as &dyn Density, &batch).is_err());
    let apart = maxlik_nn::Params::new(1, Kind::Double, Device::Cpu);
    let told = flow(&apart, Some(1));
    assert!(
        levels.loss(&told as &dyn Density, &batch).unwrap().value.double_value(&[]).is_finite()
    );
}

#[test]
fn configurations_come_back_and_are_refused() {
    for text in [
        "variant = \"explicit\"\n",
        "variant = \"sliced\"\nslices = \"rademacher\"\nplain = false\n",
        "variant = \"denoising\"\nsigma = 0.5\n",
        "variant = \"noise_levels\"\nlevels = [0.5, 1.0]\n",
        "variant = \"finite_difference\"\nradius = 0.1\n",
    ] {
        let config: ScoreMatchingConfig = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&config).unwrap(), text);
    }
    let defaults = ScoreMatchingConfig::Sliced { slices: Slices::Rademacher, plain: false };
    assert_eq!(toml::from_str::<ScoreMatchingConfig>("variant = 'sliced'").unwrap(), defaults);
    for (text, why) in [
        ("variant = 'denoising'\nsigma = 0.0", "sigma"),
        ("variant = 'denoising'\nsigma = inf", "sigma"),
        ("variant = 'noise_levels'\nlevels = []", "sigma"),
        ("variant = 'finite_difference'\nradius = -1.0", "radius"),
    ] {
        assert!(build(text).unwrap_err().to_string().contains(why), "{text}");
    }
    for text in ["variant = 'slicd'", "variant = 'sliced'\nplane = true", "variant = 'denoising'"] {
        assert!(toml::from_str::<ScoreMatchingConfig>(text).is_err(), "{text}");
    }
}
