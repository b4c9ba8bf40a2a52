//! Training steps and sampling of flows, as the peers' script `benches/peers/flows.py` does them:
//! batch 512, 5 layers, hidden 2×128, 8 bins, 2 threads, float32.
//!
//! A training step is the log-probability of a batch, its backward pass and a step of AdamW. Layers
//! of couplings alternate between odd and even coordinates, those of autoregressive flows between
//! both orders; nothing stands between layers.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use criterion::{Criterion, criterion_group, criterion_main};
use maxlik_flows::elementwise::Ends;
use maxlik_flows::univariate::Scale;
use maxlik_flows::{
    BaseConfig, Flow, FlowConfig, LayerConfig, Mask, NetworkConfig, Order, Solve, SplineConfig,
    UnivariateConfig,
};
use maxlik_model::Density;
use maxlik_nn::{MlpConfig, Params};
use maxlik_tensor::adamw::{AdamW, Step};
use maxlik_tensor::autograd::{Graph, grad};
use maxlik_tensor::with_seed;
use tch::{Device, Kind, Tensor};

const LAYERS: usize = 5;
const BATCH: i64 = 512;

/// The flows that are timed.
#[derive(Debug, Clone, Copy)]
enum Family {
    RealNvp,
    Maf,
    SplineCoupling,
    SplineAutoregressive,
}

impl Family {
    const ALL: [Self; 4] =
        [Self::RealNvp, Self::Maf, Self::SplineCoupling, Self::SplineAutoregressive];

    fn name(self) -> &'static str {
        match self {
            Self::RealNvp => "realnvp",
            Self::Maf => "maf",
            Self::SplineCoupling => "nsf_coupling",
            Self::SplineAutoregressive => "nsf_autoregressive",
        }
    }

    fn layer(self, index: usize) -> LayerConfig {
        let network = NetworkConfig::Mlp(MlpConfig::default());
        let (mask, order, scale) =
            (Mask::alternating(index), Order::alternating(index), Scale::default());
        let (spline, solve) = (SplineConfig::default(), Solve::default());
        match self {
            Self::RealNvp => LayerConfig::AffineCoupling { mask, network, scale },
            Self::SplineCoupling => LayerConfig::SplineCoupling { mask, network, spline },
            Self::Maf => {
                let map = UnivariateConfig::Affine { scale };
                LayerConfig::Autoregressive { order, network, map, solve }
            }
            Self::SplineAutoregressive => {
                let SplineConfig { bins, low, high, .. } = spline;
                let map =
                    UnivariateConfig::RationalQuadratic { bins, low, high, ends: Ends::Linear };
                LayerConfig::Autoregressive { order, network, map, solve }
            }
        }
    }

    fn build(self, dims: i64) -> (Flow, Params) {
        let params = Params::new(7, Kind::Float, Device::Cpu);
        let layers = (0..LAYERS).map(|i| self.layer(i)).collect();
        let config = FlowConfig { layers, base: BaseConfig::Normal {} };
        (config.build(&params.root(), dims, None, Vec::new()).unwrap(), params)
    }
}

fn threads() {
    let threads = std::env::var("OMP_NUM_THREADS").ok().and_then(|n| n.parse().ok());
    tch::set_num_threads(threads.unwrap_or(2));
}

fn training_steps(criterion: &mut Criterion) {
    threads();
    for family in Family::ALL {
        for dims in [6, 43] {
            let (flow, params) = family.build(dims);
            let named = params.trainable();
            let tensors: Vec<&Tensor> = named.iter().map(|(_, t)| t).collect();
            let mut optimizer =
                AdamW::new(named.iter().map(|(_, t)| t.shallow_clone()).collect()).unwrap();
            let numbers = Step { lr: 1e-4, beta1: 0.9, beta2: 0.999, weight_decay: 0.0, eps: 1e-8 };
            let x = with_seed(3, || Tensor::randn([BATCH, dims], (Kind::Float, Device::Cpu)));
            criterion.bench_function(&format!("flows/train/{}/{dims}", family.name()), |bench| {
                bench.iter(|| {
                    let loss = -flow.log_prob(&x, None).unwrap().mean(None::<Kind>);
                    let found = grad(&[&loss], &[None], &tensors, Graph::Free).unwrap();
                    let found: Vec<Tensor> = found.into_iter().flatten().collect();
                    optimizer.step(&found, &numbers).unwrap();
                });
            });
        }
    }
}

fn sampling(criterion: &mut Criterion) {
    threads();
    for (family, count) in [(Family::Maf, 10_000), (Family::SplineAutoregressive, 1_000)] {
        let (flow, _params) = family.build(43);
        let name = format!("flows/sample/{}/43", family.name());
        criterion.bench_function(&name, |bench| {
            bench.iter(|| with_seed(5, || flow.sample(count, None).unwrap()));
        });
    }
}

criterion_group!(benches, training_steps, sampling);
criterion_main!(benches);
