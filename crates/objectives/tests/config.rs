//! Objectives from their configuration: each comes back as it was written, and says what it refuses.

use super::common::store;
use maxlik_flows::{Flow, FlowConfig, NetworkConfig};
use maxlik_model::{Batch, Objective, PathDensity, Reconstruct, VectorField};
use maxlik_objectives::density::{
    DivergenceConfig, Estimator, ForwardKl, FreeForm, ImportanceWeighted, ReverseKl, TargetConfig,
};
use maxlik_objectives::score::{
    ContractiveReconstruction, DenoisingReconstruction, MetropolisConfig, ReconstructionConfig,
};
use maxlik_objectives::transport::{
    PredictionMatching, Reconstruction, ReconstructionFitConfig, ScoreAndFlow, ScoreAndFlowConfig,
};
use maxlik_ode::{Adaptive, Solver, tableau};
use maxlik_tensor::{Result, with_seed};
use maxlik_testkit::{distance, normal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;

/// Reads `text`, which writing gives again.
#[track_caller]
fn read<T: Serialize + DeserializeOwned>(text: &str) -> T {
    let found: T = toml::from_str(text).unwrap();
    assert_eq!(toml::to_string(&found).unwrap(), text);
    found
}

#[track_caller]
fn refused<T: DeserializeOwned, U>(text: &str, build: impl Fn(T) -> Result<U>, why: &str) {
    let error = build(toml::from_str(text).unwrap()).err().expect("refused").to_string();
    assert!(error.contains(why), "{text}: {error}");
}

#[track_caller]
fn unknown<T: DeserializeOwned>(text: &str) {
    assert!(toml::from_str::<T>(text).is_err(), "{text}");
}

fn flow(params: &maxlik_nn::Params) -> Flow {
    let config = FlowConfig::realnvp(2, &NetworkConfig::default());
    let flow = config.build(&params.root(), 3, None, Vec::new()).unwrap();
    super::common::jitter(params, 0.05);
    flow
}

type Built = Box<dyn Objective<dyn PathDensity>>;

#[test]
fn divergences() {
    let params = store();
    let flow = flow(&params);
    let target = || TargetConfig::Funnel { dims: 3, std: 1.0 }.build().unwrap();
    let batch = Batch::new(normal(1, &[6, 3]));
    let (path, standard) = (Estimator::Path, Estimator::Standard);
    let cases: [(&str, Built); 3] = [
        ("kind = \"reverse\"\nestimator = \"path\"\n", Box::new(ReverseKl::new(target(), path))),
        (
            "kind = \"forward\"\nestimator = \"fast_path\"\n",
            Box::new(ForwardKl::new(target(), Estimator::FastPath)),
        ),
        (
            "kind = \"importance_weighted\"\nsamples = 4\nestimator = \"standard\"\n",
            Box::new(ImportanceWeighted::new(target(), 4, standard).unwrap()),
        ),
    ];
    for (text, direct) in cases {
        let built = read::<DivergenceConfig>(text).with(target()).unwrap();
        let loss = |objective: &dyn Objective<dyn PathDensity>| {
            with_seed(3, || objective.loss(&flow as &dyn PathDensity, &batch).unwrap().value)
        };
        assert!(distance(&loss(built.as_ref()), &loss(direct.as_ref())) < 1e-12, "{text}");
    }
    let least: DivergenceConfig = toml::from_str("kind = 'reverse'").unwrap();
    assert_eq!(least, DivergenceConfig::Reverse { estimator: Estimator::FastPath });
    let with = |config: DivergenceConfig| config.with(target());
    refused("kind = 'importance_weighted'\nsamples = 0", with, "samples");
    unknown::<DivergenceConfig>("kind = 'reverse'\nsamples = 3");
    unknown::<DivergenceConfig>("kind = 'reverse'\nestimator = 'patth'");
}

#[test]
fn targets() {
    let energy = |text: &str, x: &Tensor| {
        read::<TargetConfig>(text).build().unwrap().energy(x, None).unwrap()
    };
    let x = normal(2, &[5, 2]);
    let corners = energy("kind = \"hypercube\"\ndims = 2\nvariance = 0.25\n", &x);
    let same = "kind = \"mixture\"\nmeans = [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]\n\
                weights = [1.0, 1.0, 1.0, 1.0]\nvariance = 0.25\n";
    assert!(distance(&corners, &energy(same, &x)) < 1e-12);
    let alike: TargetConfig = toml::from_str(
        "kind = 'mixture'\nvariance = 0.25\nmeans = [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]",
    )
    .unwrap();
    assert!(distance(&corners, &alike.build().unwrap().energy(&x, None).unwrap()) < 1e-12);
    assert_eq!(
        read::<TargetConfig>("kind = \"funnel\"\ndims = 4\nstd = 3.0\n").build().unwrap().dims(),
        4
    );
    let lattice = "kind = \"phi4\"\nside = 3\nhopping = 0.2\ncoupling = 0.1\n";
    assert_eq!(read::<TargetConfig>(lattice).build().unwrap().dims(), 9);
    let build = |config: TargetConfig| config.build();
    refused("kind = 'funnel'\ndims = 1\nstd = 3.0", build, "dims");
    refused("kind = 'funnel'\ndims = 2\nstd = 0.0", build, "std");
    refused("kind = 'hypercube'\ndims = 13\nvariance = 1.0", build, "dims");
    refused("kind = 'mixture'\nmeans = []\nvariance = 1.0", build, "means");
    refused("kind = 'mixture'\nmeans = [[1.0], [1.0, 2.0]]\nvariance = 1.0", build, "means");
    refused(
        "kind = 'mixture'\nmeans = [[1.0]]\nweights = [1.0, 2.0]\nvariance = 1.0",
        build,
        "weights",
    );
    refused("kind = 'phi4'\nside = 1\nhopping = 0.2\ncoupling = 0.1", build, "side");
    unknown::<TargetConfig>("kind = 'funel'\ndims = 2\nstd = 1.0");
}

#[test]
fn free_form_flows() {
    let text = "beta = 5.0\nprobes = 2\nnoise = 0.1\nvolume = \"on_manifold\"\n";
    assert!(read::<FreeForm>(text).check().is_ok());
    assert_eq!(toml::from_str::<FreeForm>("").unwrap(), FreeForm::default());
    let check = |config: FreeForm| config.check();
    refused("beta = -1.0", check, "beta");
    refused("noise = nan", check, "noise");
    refused("probes = 0", check, "probes");
    unknown::<FreeForm>("betta = 1.0");
}

/// `r(x) = x/2`.
#[derive(Debug)]
struct Half;

impl Reconstruct for Half {
    fn reconstruct(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x * 0.5)
    }
}

#[test]
fn auto_encoders() {
    let batch = Batch::new(normal(3, &[6, 3]));
    let loss = |objective: &dyn Objective<dyn Reconstruct>| {
        with_seed(4, || objective.loss(&Half as &dyn Reconstruct, &batch).unwrap().value)
    };
    let denoising =
        read::<ReconstructionConfig>("kind = \"denoising\"\nsigma = 0.3\n").build().unwrap();
    let direct = DenoisingReconstruction::new(0.3).unwrap();
    assert!(distance(&loss(denoising.as_ref()), &loss(&direct)) < 1e-12);
    let contractive =
        read::<ReconstructionConfig>("kind = \"contractive\"\nsigma = 0.3\n").build().unwrap();
    let direct = ContractiveReconstruction::new(0.3).unwrap();
    assert!(distance(&loss(contractive.as_ref()), &loss(&direct)) < 1e-12);
    let build = |config: ReconstructionConfig| config.build();
    refused("kind = 'denoising'\nsigma = 0.0", build, "sigma");
    refused("kind = 'contractive'\nsigma = -1.0", build, "sigma");
    unknown::<ReconstructionConfig>("kind = 'denoising'\nsigma = 1.0\nlevels = 2");
    assert!(read::<MetropolisConfig>("step = 0.5\nnodes = 3\n").build().is_ok());
    let sampler = |config: MetropolisConfig| config.build();
    refused("step = 0.0", sampler, "step");
    refused("step = 0.5\nnodes = 4", sampler, "nodes");
}

/// `v = x/2`.
#[derive(Debug)]
struct Grow;

impl VectorField for Grow {
    fn velocity(&self, _t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x * 0.5)
    }
}

#[test]
fn transport() {
    let bridge: ScoreAndFlowConfig = read("sigma = 0.5\n");
    assert_eq!(bridge.build().unwrap(), ScoreAndFlow::new(0.5).unwrap());
    let coupled: ScoreAndFlowConfig = read("sigma = 0.5\n\n[coupling]\nkind = \"optimal\"\n");
    let optimal = maxlik_objectives::transport::Coupling::Optimal {};
    let direct = ScoreAndFlow::new(0.5).unwrap().coupled(optimal).unwrap();
    assert_eq!(coupled.build().unwrap(), direct);
    let build = |config: ScoreAndFlowConfig| config.build();
    refused("sigma = 0.0", build, "sigma");
    refused("sigma = 1.0\ncoupling = { kind = 'entropic', epsilon = -1.0 }", build, "epsilon");
    unknown::<ScoreAndFlowConfig>("sigma = 1.0\npath = 'straight'");

    let fit: ReconstructionFitConfig = read("steps = 4\nstd = 0.5\ntolerance = 0.0001\n");
    let fine = Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-4, 1e-4)).unwrap();
    let direct =
        Reconstruction::new(Grow, fine, Solver::fixed(tableau::EULER, 4).unwrap(), 0.5).unwrap();
    let batch = Batch::new(normal(5, &[6, 3]));
    let loss = |objective: &Reconstruction| {
        objective.loss(&Grow as &dyn VectorField, &batch).unwrap().value
    };
    assert!(distance(&loss(&fit.with(Grow).unwrap()), &loss(&direct)) < 1e-12);
    let with = |config: ReconstructionFitConfig| config.with(Grow);
    refused("steps = 0", with, "steps");
    refused("steps = 4\nstd = 0.0", with, "std");
    refused("steps = 4\ntolerance = 1.0", with, "tolerance");

    let text = "interpolant = { kind = 'linear' }\nprediction = 'noise'\nmeasured_as = 'velocity'\n\
                margin = 0.01";
    let matching: PredictionMatching = toml::from_str(text).unwrap();
    assert!(matching.check().is_ok());
    let again = toml::to_string(&matching).unwrap();
    assert_eq!(toml::from_str::<PredictionMatching>(&again).unwrap(), matching);
    refused(&text.replace("0.01", "0.5"), |config: PredictionMatching| config.check(), "margin");
    unknown::<PredictionMatching>(&text.replace("margin", "margins"));
}
