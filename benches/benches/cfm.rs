//! A training step of flow matching as the peers' script `benches/peers/cfm.py step` does it: batch
//! 1024, D = 50, three hidden layers of 64 with SELU, AdamW, float32; data from the source's own law and
//! from a law three standard deviations away in each coordinate.
//!
//! Torch's threads are set by `OMP_NUM_THREADS`, those of the coupling by `RAYON_NUM_THREADS`.
#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run stops")]

use criterion::{Criterion, criterion_group, criterion_main};
use maxlik_model::{Batch, VectorField};
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_objectives::transport::FlowMatching;
use maxlik_tensor::Result;
use maxlik_tensor::adamw::{AdamW, Step};
use maxlik_tensor::autograd::{Graph, grad};
use tch::{Device, Kind, Tensor};

const BATCH: i64 = 1024;
const DIMS: i64 = 50;

#[derive(Debug)]
struct Field(Mlp);

impl VectorField for Field {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.0.forward(&Tensor::f_cat(&[x, &t.f_view([-1, 1])?], 1)?, context)
    }
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cfm_step");
    for shift in [0.0, 3.0] {
        for (name, objective) in [
            ("I-CFM", FlowMatching::independent(0.1).unwrap()),
            ("OT-CFM", FlowMatching::optimal(0.1).unwrap()),
        ] {
            let params = Params::new(1, Kind::Float, Device::Cpu);
            let config = MlpConfig {
                hidden: vec![64; 3],
                activation: Activation::Selu,
                ..MlpConfig::default()
            };
            let field = Field(Mlp::new(&params.root(), DIMS + 1, 0, DIMS, &config).unwrap());
            let leaves: Vec<Tensor> = params.trainable().into_iter().map(|(_, p)| p).collect();
            let refs: Vec<&Tensor> = leaves.iter().collect();
            let mut optimizer =
                AdamW::new(leaves.iter().map(Tensor::shallow_clone).collect()).unwrap();
            let rates = Step { lr: 1e-3, beta1: 0.9, beta2: 0.999, weight_decay: 0.01, eps: 1e-8 };
            let draw = || Tensor::randn([BATCH, DIMS], (Kind::Float, Device::Cpu));
            group.bench_function(format!("{name}/shift_{shift}"), |bencher| {
                bencher.iter_batched(
                    || (draw(), Batch::new(draw() + shift)),
                    |(source, batch)| {
                        let loss = objective.loss_between(&field, &source, &batch).unwrap().value;
                        let found = grad(&[&loss], &[None], &refs, Graph::Free).unwrap();
                        let gradients: Vec<Tensor> =
                            found.into_iter().map(Option::unwrap).collect();
                        optimizer.step(&gradients, &rates).unwrap();
                    },
                    criterion::BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = steps
}
criterion_main!(benches);
